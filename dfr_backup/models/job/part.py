class Part:
    """A part of what a run gets of Odoo; ``runs/context.py`` says what runs use of
    it. ``context`` has the others."""

    def __init__(self, context):
        self.context = context
        self.job = context.job
