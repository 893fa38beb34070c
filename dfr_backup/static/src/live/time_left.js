import {_t} from "@web/core/l10n/translation";

const TRUST = 0.2; // of a new estimate, in what is shown

/** 100 -> "about 2 min left". Coarse on purpose: nobody can know it better. */
export function formatTimeLeft(seconds) {
    if (!seconds) {
        return "";
    }
    if (seconds < 10) {
        return _t("a few seconds left");
    }
    if (seconds < 60) {
        return _t("about %s s left", Math.ceil(seconds / 10) * 10);
    }
    const minutes = Math.ceil(seconds / 60);
    if (minutes < 60) {
        return _t("about %s min left", minutes);
    }
    return _t("about %(hours)s h %(minutes)s min left", {
        hours: Math.floor(minutes / 60),
        minutes: minutes % 60,
    });
}

/** A time left that runs down with the clock, and bends slowly to what the server estimates. */
export class TimeLeft {
    constructor(now = () => Date.now()) {
        this.now = now;
        this.left = 0;
        this.at = 0;
    }

    /** @param {number} estimate seconds; 0 where they are not known */
    update(estimate) {
        const shown = this.seconds;
        this.left = shown && estimate ? shown + TRUST * (estimate - shown) : estimate;
        this.at = this.now();
    }

    /** Seconds, 0 where they are not known. */
    get seconds() {
        return this.left && Math.max(this.left - (this.now() - this.at) / 1000, 1);
    }

    get text() {
        return formatTimeLeft(this.seconds);
    }
}
