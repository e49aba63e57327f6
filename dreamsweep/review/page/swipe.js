// Swipes with one finger, to go from picture to picture where there are no arrow keys.

const FAR = 50; // pixels

/** Calls `swiped(1)` for a swipe to the left on what lies in `box`, which goes on, and `swiped(-1)` for one to the right. */
export function onSwipe(box, swiped) {
  let start = null;
  box.addEventListener("touchstart", ({ touches }) => (start = touches.length === 1 ? touches[0] : null), { passive: true });
  box.addEventListener("touchend", ({ changedTouches: [end] }) => {
    if (!start) return;
    const across = end.clientX - start.clientX, down = end.clientY - start.clientY;
    start = null;
    if (Math.abs(across) > FAR && Math.abs(across) > 2 * Math.abs(down)) swiped(across < 0 ? 1 : -1);
  });
}
