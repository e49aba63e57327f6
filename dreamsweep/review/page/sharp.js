// Small pictures by whole multiples of their pixels: enlarged by a fraction, 128 px are a blur.

/** Shows a picture as large as the box around it allows; where it fits twice or more, by a whole number of screen pixels for each of its own. */
export function sharp(picture) {
  const observer = new ResizeObserver(fit);
  picture.addEventListener("load", () => picture.isConnected && observer.observe(picture.parentElement)); // which fits it at once

  function fit() {
    if (!picture.isConnected) return observer.disconnect();
    const box = picture.parentElement, style = getComputedStyle(picture);
    const across = box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const down = box.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom) - taken(picture);
    const times = Math.floor(Math.min(across / picture.naturalWidth, down / picture.naturalHeight) * devicePixelRatio) || 0;
    picture.classList.toggle("pixels", times >= 2);
    picture.style.setProperty("--wide", times >= 2 ? `${(picture.naturalWidth * times) / devicePixelRatio}px` : "100%");
    picture.style.setProperty("--high", times >= 2 ? `${(picture.naturalHeight * times) / devicePixelRatio}px` : "100%");
  }
}

// What stands below the picture in its box, such as the slider.
function taken(picture) {
  return [...picture.parentElement.children].filter((child) => child !== picture).reduce((sum, child) => sum + child.offsetHeight, 0);
}
