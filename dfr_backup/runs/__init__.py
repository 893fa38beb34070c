# each module registers its kinds of run, which people may choose from in this order
from . import backup
from . import verify
from . import scan
from . import prune
from . import restore
from . import drill
from . import repair
from . import importing
