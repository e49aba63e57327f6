"""A published sweep at a glance: its contact sheet and its curves, as PNG in the store."""

from dreamsweep.manifest import published_manifest
from dreamsweep.store import Store


def write_summary(store: Store, sweep: str) -> tuple[str, str]:
    """Draws both and writes them to `<sweep>/summary/`; returns their keys. Raises StoreError when the sweep is not there."""
    from dreamsweep.contact_sheet import contact_sheet
    from dreamsweep.curves import curves

    published_manifest(store, sweep)
    drawn = {f"{sweep}/summary/contact-sheet.png": contact_sheet, f"{sweep}/summary/curves.png": curves}
    for key, draw in drawn.items():
        store.write(key, draw(store, sweep), "image/png")
    sheet, curve = drawn
    return sheet, curve
