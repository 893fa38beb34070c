import {graphView} from "@web/views/graph/graph_view";
import {pivotView} from "@web/views/pivot/pivot_view";
import {registry} from "@web/core/registry";
import {withFreshHelp} from "../fresh_help";

// Odoo loads these views when they are asked for
const views = registry.category("views");
for (const [name, view] of [
    ["backup_graph", graphView],
    ["backup_pivot", pivotView],
]) {
    views.add(name, {...view, Controller: withFreshHelp(view.Controller)});
}
