from . import attachment
from . import download
from . import health
from . import recovery_kit
from . import upload
