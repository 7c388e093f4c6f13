// The time that is left of the session. Counted from the service's answer: the clock of a device may be wrong, and a page that
// sleeps gets no ticks.

import { duration } from "./texts.js";
import { announce, showTime } from "./view.js";

const ANNOUNCED = [300, 60];

export function startClock(onEnd) {
  let endsAt = null;
  let last = Infinity;

  const tick = () => {
    if (endsAt === null) return;
    const left = Math.max(0, Math.ceil((endsAt - performance.now()) / 1000));
    showTime(duration(left));
    for (const mark of ANNOUNCED) {
      if (last > mark && left <= mark && last !== Infinity) announce(`${mark / 60} ${mark === 60 ? "minute" : "minutes"} left.`);
    }
    last = left;
    if (left === 0) {
      endsAt = null;
      onEnd();
    }
  };
  setInterval(tick, 1000);

  return {
    set(seconds) {
      endsAt = performance.now() + seconds * 1000;
      tick();
    },
    stop() {
      endsAt = null;
      showTime(null);
    },
  };
}
