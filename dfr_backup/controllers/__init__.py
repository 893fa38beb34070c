from . import download
from . import recovery_kit
