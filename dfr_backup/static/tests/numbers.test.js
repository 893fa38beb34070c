import {describe, expect, test} from "@odoo/hoot";
import {formatBytes, formatSeconds} from "@dfr_backup/fields/formatted_fields";
import {
    makeMockEnv,
    patchTranslations,
    patchWithCleanup,
} from "@web/../tests/web_test_helpers";
import {BYTES, SECONDS, roundStep} from "@dfr_backup/overview/trend_chart";
import {TimeLeft} from "@dfr_backup/live/time_left";
import {localization} from "@web/core/l10n/localization";

describe.current.tags("headless");

const NUMBERS = /\d+(?:\.\d+)?/g;

test("bytes have one digit and a unit", async () => {
    await makeMockEnv();
    expect(formatBytes(0)).toBe("0 B");
    expect(formatBytes(undefined)).toBe("0 B");
    expect(formatBytes(1023)).toBe("1023 B");
    expect(formatBytes(1536)).toBe("1.5 KiB");
    expect(formatBytes(5 * 2 ** 50)).toBe("5120.0 TiB");
});

test("in French, bytes are octets, with a comma", async () => {
    await makeMockEnv();
    patchTranslations({
        dfr_backup: {
            "%(number)s B": "%(number)s o",
            "%(number)s MiB": "%(number)s Mio",
        },
    });
    patchWithCleanup(localization, {decimalPoint: ","});
    expect(formatBytes(12 * 2 ** 20)).toBe("12,0 Mio");
    expect(formatBytes(500)).toBe("500 o");
});

test("from right to left, the unit stays behind its number", async () => {
    await makeMockEnv();
    patchWithCleanup(localization, {direction: "rtl"});
    expect(formatBytes(1536)).toBe("\u20661.5 KiB\u2069");
});

test("seconds are told in the two largest units", async () => {
    await makeMockEnv();
    const numbers = (seconds) => `${formatSeconds(seconds)}`.match(NUMBERS);
    expect(numbers(0)).toEqual(["0.0"]);
    expect(numbers(9.94)).toEqual(["9.9"]);
    expect(numbers(59)).toEqual(["59"]);
    expect(numbers(75.4)).toEqual(["1", "15"]);
    expect(numbers(3600 + 61)).toEqual(["1", "1"]);
});

test("the time left runs down, and follows an estimate slowly", async () => {
    await makeMockEnv();
    let now = 0;
    const left = new TimeLeft(() => now);
    expect(left.seconds).toBe(0, {message: "nobody knows yet"});
    expect(left.text).toBe("");
    left.update(100);
    now += 10_000;
    expect(left.seconds).toBe(90);
    left.update(190);
    expect(left.seconds).toBe(110, {message: "a fifth of the way"});
    now += 1_000_000;
    expect(left.seconds).toBe(1, {message: "it never says that it is over"});
    left.update(0);
    expect(left.seconds).toBe(0);
});

test("the steps of an axis are round in the units that are shown", () => {
    const MIB = 2 ** 20;
    expect(roundStep(120 * MIB, BYTES)).toBe(100 * MIB);
    expect(roundStep(200 * MIB, BYTES)).toBe(100 * MIB);
    expect(roundStep(1001 * MIB, BYTES)).toBe(1024 * MIB);
    expect(roundStep(0, BYTES)).toBe(1);
    expect(roundStep(13, SECONDS)).toBe(10);
    expect(roundStep(90, SECONDS)).toBe(60);
    expect(roundStep(100 * 3600, SECONDS)).toBe(60 * 3600);
    expect(roundStep(NaN, SECONDS)).toBe(1);
});
