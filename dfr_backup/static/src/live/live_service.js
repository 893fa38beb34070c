import {onMounted, onWillUnmount} from "@odoo/owl";
import {browser} from "@web/core/browser/browser";
import {registry} from "@web/core/registry";
import {useService} from "@web/core/utils/hooks";

const MESSAGE = "dfr_backup.job";
const BUSY = 5000; // ms between two looks while a run goes on: the messages may not come through
const IDLE = 60000; // ms, else
const PAUSE = 1000; // ms that a follower is left alone after it was told

/** Somebody who wants to know what runs: told at once, but never twice at the same time. */
class Follower {
    constructor({refresh, isBusy}, onTold) {
        this.refresh = refresh;
        this.isBusy = isBusy;
        this.onTold = onTold;
        this.telling = false;
        this.stopped = false;
        this.next = undefined;
    }

    /** Pass on a message, or null after a while without one. The newest waits for its turn. */
    async tell(message) {
        if (this.telling) {
            this.next = message;
            return;
        }
        this.telling = true;
        try {
            await this.refresh(message);
        } catch (error) {
            console.debug("dfr_backup: the next look may go better", error);
        }
        this.onTold();
        browser.setTimeout(() => this.goOn(), PAUSE);
    }

    goOn() {
        this.telling = false;
        const message = this.next;
        this.next = undefined;
        if (message !== undefined && !this.stopped) {
            this.tell(message);
        }
    }
}

/**
 * Tells whoever follows when a run changes: by the messages of the server, and by looking again
 * now and then, where the websocket does not come through. Nobody looks in a hidden tab.
 */
export const backupLiveService = {
    dependencies: ["bus_service"],

    start(env, {bus_service: bus}) {
        const followers = new Set();
        let timer = null;

        const tellAll = (message) =>
            followers.forEach((follower) => follower.tell(message));
        const lookIfSeen = () => {
            if (!document.hidden) {
                tellAll(null);
            }
        };
        const wait = () => {
            browser.clearTimeout(timer);
            if (followers.size) {
                const busy = [...followers].some((follower) => follower.isBusy());
                timer = browser.setTimeout(
                    () => {
                        lookIfSeen();
                        wait();
                    },
                    busy ? BUSY : IDLE
                );
            }
        };

        bus.subscribe(MESSAGE, tellAll);
        document.addEventListener("visibilitychange", () => {
            lookIfSeen();
            wait();
        });

        return {
            /**
             * @param {Object} follower
             * @param {(message: Object|null) => Promise|void} follower.refresh given the numbers
             *      of a run that has changed, or null: look yourself
             * @param {() => boolean} follower.isBusy whether a run goes on
             * @param {boolean} [follower.atOnce] look for the first time now, not in a while
             * @returns {() => void} stop following
             */
            follow(follower) {
                const added = new Follower(follower, wait);
                followers.add(added);
                bus.start();
                if (follower.atOnce) {
                    added.tell(null);
                }
                wait();
                return () => {
                    added.stopped = true;
                    followers.delete(added);
                    wait();
                };
            },
            /** Let everybody look now, because somebody knows that something has changed. */
            look: () => tellAll(null),
        };
    },
};

registry.category("services").add("backup_live", backupLiveService);

/** Follow the runs while this component is on the screen. See `follow`. */
export function useBackupLive(follower) {
    const live = useService("backup_live");
    let stop = () => undefined;
    onMounted(() => {
        stop = live.follow(follower);
    });
    onWillUnmount(() => stop());
    return live;
}
