import {Component, onWillStart, useEffect, useRef} from "@odoo/owl";
import {loadBundle} from "@web/core/assets";
import {cookie} from "@web/core/browser/cookie";
import {getColor, hexToRGBA} from "@web/core/colors/colors";
import {localization} from "@web/core/l10n/localization";
import {_t} from "@web/core/l10n/translation";
import {formatBytes, formatSeconds} from "../fields/formatted_fields";
import {moment} from "./looks";

// multiples of each unit that read well on an axis
export const BYTES = {base: 1024, multiples: [1, 2, 5, 10, 20, 50, 100, 200, 500]};
export const SECONDS = {base: 60, multiples: [1, 2, 5, 10, 15, 20, 30]};

/** The smallest round step of which two reach `highest`, in bytes or seconds. */
export function roundStep(highest, {base, multiples}) {
    for (let unit = 1; ; unit *= base) {
        const found = multiples.find(
            (multiple) => 2 * multiple * unit >= (highest || 0)
        );
        if (found) {
            return found * unit;
        }
    }
}

function tooltipLabel({dataset, parsed}) {
    const format = dataset.yAxisID === "size" ? formatBytes : formatSeconds;
    return `${dataset.label}: ${format(parsed.y)}`;
}

/** How size and duration of the last good runs have changed. */
export class TrendChart extends Component {
    static template = "dfr_backup.TrendChart";
    static props = {runs: Array};

    setup() {
        this.canvas = useRef("canvas");
        onWillStart(() => loadBundle("web.chartjs_lib"));
        useEffect(
            () => {
                const chart = new Chart(this.canvas.el, this.config());
                return () => chart.destroy();
            },
            () => [this.props.runs.map((run) => run.id).join()]
        );
    }

    get summary() {
        const last = this.props.runs.at(-1);
        return _t(
            "Size and duration of the last runs; newest: %(size)s in %(duration)s",
            {
                size: formatBytes(last.size),
                duration: formatSeconds(last.duration),
            }
        );
    }

    config() {
        const {runs} = this.props;
        const scheme = cookie.get("color_scheme");
        const rightToLeft = localization.direction === "rtl"; // like the strip above it
        const [left, right] = rightToLeft ? ["right", "left"] : ["left", "right"];
        const [bars, line] = [getColor(0, scheme, 3), getColor(3, scheme, 6)];
        const axis = (position, format, values, units) => {
            const stepSize = roundStep(Math.max(...values), units);
            return {
                position,
                min: 0,
                max: 2 * stepSize,
                border: {display: false},
                grid: {display: false},
                ticks: {stepSize, callback: format, color: this.textColor},
            };
        };
        const sizes = runs.map((run) => run.size);
        const durations = runs.map((run) => run.duration);
        return {
            type: "bar",
            data: {
                labels: runs.map((run) => moment(run.date)),
                datasets: [
                    {
                        label: _t("Size"),
                        data: sizes,
                        yAxisID: "size",
                        order: 2,
                        backgroundColor: hexToRGBA(bars, 0.5),
                        maxBarThickness: 18,
                    },
                    {
                        label: _t("Duration"),
                        type: "line",
                        data: durations,
                        yAxisID: "duration",
                        order: 1,
                        borderColor: line,
                        backgroundColor: line,
                        borderWidth: 2,
                        pointRadius: 2,
                        cubicInterpolationMode: "monotone", // never below what was measured
                    },
                ],
            },
            options: {
                animation: false,
                maintainAspectRatio: false,
                interaction: {mode: "index", intersect: false},
                plugins: {
                    legend: {
                        labels: {boxWidth: 10, boxHeight: 10, color: this.textColor},
                    },
                    tooltip: {callbacks: {label: tooltipLabel}},
                },
                scales: {
                    x: {display: false, reverse: rightToLeft},
                    size: axis(left, formatBytes, sizes, BYTES),
                    duration: axis(right, formatSeconds, durations, SECONDS),
                },
            },
        };
    }

    /** The colour of the text around, which is light in dark mode. */
    get textColor() {
        return getComputedStyle(this.canvas.el).color;
    }
}
