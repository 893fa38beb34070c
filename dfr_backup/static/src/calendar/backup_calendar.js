import {CalendarCommonPopover} from "@web/views/calendar/calendar_common/calendar_common_popover";
import {CalendarCommonRenderer} from "@web/views/calendar/calendar_common/calendar_common_renderer";
import {CalendarController} from "@web/views/calendar/calendar_controller";
import {CalendarRenderer} from "@web/views/calendar/calendar_renderer";
import {calendarView} from "@web/views/calendar/calendar_view";
import {onWillStart} from "@odoo/owl";
import {registry} from "@web/core/registry";
import {FreshHelp} from "../empty/fresh_help";
import {useService} from "@web/core/utils/hooks";
import {user} from "@web/core/user";

/** Odoo's calendar offers to edit a record; a backup is there to be restored. */
class BackupCalendarPopover extends CalendarCommonPopover {
    static subTemplates = {
        ...CalendarCommonPopover.subTemplates,
        footer: "dfr_backup.CalendarPopover.footer",
    };

    setup() {
        super.setup();
        this.action = useService("action");
        onWillStart(async () => {
            this.canRestore = await user.hasGroup("dfr_backup.group_manager");
        });
    }

    /** A backup is of one moment. */
    computeDateTimeAndDuration() {
        super.computeDateTimeAndDuration();
        this.time = this.time && this.time.split(" - ")[0];
        this.timeDuration = null;
    }

    async onRestore() {
        await this.action.doActionButton({
            type: "object",
            name: "action_restore",
            resModel: this.props.model.resModel,
            resId: this.props.record.id,
        });
        this.props.close();
    }
}

class BackupCalendarCommonRenderer extends CalendarCommonRenderer {
    static components = {
        ...CalendarCommonRenderer.components,
        Popover: BackupCalendarPopover,
    };
}

class BackupCalendarRenderer extends CalendarRenderer {
    static components = {
        ...CalendarRenderer.components,
        day: BackupCalendarCommonRenderer,
        week: BackupCalendarCommonRenderer,
        month: BackupCalendarCommonRenderer,
    };
}

/** Odoo's calendar has no word for a month without a backup. */
class BackupCalendarController extends CalendarController {
    static template = "dfr_backup.CalendarController";
    static components = {...CalendarController.components, FreshHelp};

    get isEmpty() {
        return !Object.keys(this.model.records).length;
    }
}

registry.category("views").add("backup_calendar", {
    ...calendarView,
    Controller: BackupCalendarController,
    Renderer: BackupCalendarRenderer,
});
