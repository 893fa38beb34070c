"""Make icon.png and banner.png for the page of the addon, and copy its pictures to it.

artwork.py FOLDER PICTURES. The icon is drawn in icon.svg; the banner shows it beside
the picture of the overview.
"""

import base64
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from screenshots import ARGUMENTS, shrink

ICON = 256  # pixels, square
BANNER = {"width": 560, "height": 280}
# those that index.html shows
SHOWN = ("overview", "run", "failed", "restore", "drill", "storage-s3", "retention")
ALONE = "<style>* { margin: 0 } svg { width: 100vw; height: 100vh }</style>"
PAGE = """
<style>
    * {{ margin: 0; box-sizing: border-box; }}
    body {{ width: 560px; height: 280px; overflow: hidden; position: relative;
            background: linear-gradient(120deg, #fff 30%, #e6f7f5); color: #1f2937;
            font-family: Inter, "DejaVu Sans", sans-serif; }}
    svg {{ width: 64px; height: 64px; position: absolute; left: 26px; top: 34px; }}
    h1 {{ font-size: 27px; line-height: 1.15; position: absolute; left: 26px;
          top: 112px; }}
    p {{ font-size: 12.5px; line-height: 1.5; position: absolute; left: 26px;
         top: 186px; width: 190px; color: #4b5563; }}
    img {{ position: absolute; left: 236px; top: 36px; width: 430px; border-radius: 6px;
           border: 1px solid #cbd5e1; box-shadow: 0 10px 30px rgba(0, 94, 122, .25); }}
</style>
{icon}
<h1>Backup<br>and Restore</h1>
<p>Database, attachments, addons. Every copy read back, every restore provable.</p>
<img src="data:image/png;base64,{picture}">
"""


def main(folder, pictures):
    folder, pictures = Path(folder), Path(pictures)
    icon = (folder / "icon.svg").read_text()
    picture = base64.b64encode((pictures / "overview.png").read_bytes()).decode()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        page = browser.new_page(viewport={"width": ICON, "height": ICON})
        page.set_content(
            f"<style>* {{ margin: 0 }} svg {{ width: 100vw; height: 100vh "
            f"}}</style>{icon}"
        )
        page.screenshot(path=folder / "icon.png", omit_background=True)
        page.set_viewport_size(BANNER)
        page.set_content(PAGE.format(icon=icon, picture=picture))
        page.screenshot(path=folder / "banner.png")
        browser.close()
    shrink(folder / "banner.png")
    for name in SHOWN:
        shutil.copy(pictures / f"{name}.png", folder / f"{name}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
