// Zoom and pan of several pictures at once: the wheel or two fingers zoom, a drag moves, and all pictures show the same part.

const MOST = 32; // times

/** Links the pictures of these boxes. `by(times)` zooms around the middle, `reset()` shows the whole again. */
export function linkZoom(boxes) {
  let zoom = 1, x = 0, y = 0; // the upper left corner, in sides of the picture
  const fingers = new Map();
  for (const box of boxes) {
    box.addEventListener("wheel", (event) => (event.preventDefault(), at(Math.exp(-event.deltaY / 400), place(box, event))), { passive: false });
    box.addEventListener("pointerdown", (event) => (box.setPointerCapture(event.pointerId), fingers.set(event.pointerId, place(box, event))));
    box.addEventListener("pointermove", (event) => moved(event.pointerId, place(box, event)));
    for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, (event) => fingers.delete(event.pointerId));
    box.addEventListener("dblclick", reset);
  }
  return { by: (times) => at(times, [0.5, 0.5]), reset, apply };

  function moved(finger, to) {
    const from = fingers.get(finger);
    if (!from) return;
    const other = [...fingers].find(([id]) => id !== finger)?.[1];
    fingers.set(finger, to);
    if (other) return at(Math.hypot(to[0] - other[0], to[1] - other[1]) / Math.max(0.02, Math.hypot(from[0] - other[0], from[1] - other[1])), other);
    x += to[0] - from[0];
    y += to[1] - from[1];
    apply();
  }

  function at(times, [across, down]) {
    const before = zoom;
    zoom = Math.min(MOST, Math.max(1, zoom * times));
    x = across - ((across - x) * zoom) / before;
    y = down - ((down - y) * zoom) / before;
    apply();
  }

  function reset() {
    [zoom, x, y] = [1, 0, 0];
    apply();
  }

  /** Shows the same part of every picture; to be called after one was put into its box. */
  function apply() {
    [x, y] = [x, y].map((corner) => Math.min(0, Math.max(1 - zoom, corner)));
    for (const picture of boxes.flatMap((box) => [...box.querySelectorAll("img")])) {
      picture.style.transform = `translate(${x * 100}%, ${y * 100}%) scale(${zoom})`;
      picture.classList.toggle("pixels", (picture.clientWidth * zoom * devicePixelRatio) / (picture.naturalWidth || Infinity) >= 2);
    }
  }
}

// Where a pointer is in the square that shows the whole picture, in the middle of its box.
function place(box, event) {
  const { left, top, width, height } = box.getBoundingClientRect(), side = Math.min(width, height);
  return [(event.clientX - left - (width - side) / 2) / side, (event.clientY - top - (height - side) / 2) / side];
}
