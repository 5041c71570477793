package dingtalk

import (
	"fmt"
	"time"
)

// Languages that messages can be written in.
const (
	Chinese = "zh"
	English = "en"
)

// words are the fixed texts of a language.
type words struct {
	firing, resolved, noTitle                          string
	severity, started, ended, value, was, alerts, more string
	lasting, lasted                                    string
	dashboard, logs, runbook, ref                      string
	digest, digestNote, andMore, test, testText        string
	escalated, step                                    string
	page, ticket                                       string
	released, releasedBefore, releasedSince            string
	labels                                             map[string]string
	day, hour, minute, second                          string
}

var chinese = words{
	firing: "告警", resolved: "已恢复", noTitle: "未命名",
	severity: "级别", started: "开始", ended: "恢复", value: "当前", was: "故障时", alerts: "明细 (告警中 %d，已恢复 %d)", more: "另有 %d 条",
	lasting: "已持续 %s", lasted: "持续了 %s",
	dashboard: "看板", logs: "日志", runbook: "处理手册", ref: "编号",
	digest: "告警汇总", digestNote: "消息过多，%d 组告警合并为一条，最严重的在前", andMore: "其余 %d 组", test: "测试消息",
	testText: "机器人 %s 能收到 KongDao 的告警。",
	released: "最近发布", releasedBefore: "%s, %s (告警前 %s)", releasedSince: "%s, %s (告警之后)",
	page: "紧急，立即处理", ticket: "一般，工作时间处理",
	labels: map[string]string{
		"function": "函数", "zone": "可用区", "revision": "版本", "pod": "实例", "code": "状态码",
		"gateway": "网关", "limit": "限额", "robot": "机器人", "type": "类型", "tenant": "租户", "team": "团队", "owner": "负责人", "instance": "采集点",
	},
	day: "%d 天 ", hour: "%d 小时 ", minute: "%d 分 ", second: "%d 秒",
}

var english = words{
	firing: "FIRING", resolved: "RESOLVED", noTitle: "unnamed",
	severity: "Severity", started: "Since", ended: "Ended", value: "Now", was: "Then", alerts: "Alerts (%d firing, %d resolved)", more: "%d more",
	lasting: "for %s", lasted: "lasted %s",
	dashboard: "Dashboard", logs: "Logs", runbook: "Runbook", ref: "Ref",
	digest: "ALERT DIGEST", digestNote: "too many messages: %d groups in one, the worst first", andMore: "%d more groups", test: "Test message",
	testText: "Robot %s receives KongDao's alerts.",
	released: "Last release", releasedBefore: "%s, %s (%s before)", releasedSince: "%s, %s (after it began)",
	escalated: "Escalated", step: "step %d, nobody has claimed it",
	page: "page, act now", ticket: "ticket, in working hours",
	labels: map[string]string{
		"function": "Function", "zone": "Zone", "revision": "Revision", "pod": "Pod", "code": "Code",
		"gateway": "Gateway", "limit": "Limit", "robot": "Robot", "type": "Type", "tenant": "Tenant", "team": "Team", "owner": "Owner", "instance": "Instance",
	},
	day: "%dd ", hour: "%dh ", minute: "%dm ", second: "%ds",
}

// labelOrder is how a reader looks for what broke.
var labelOrder = []string{"function", "zone", "revision", "pod", "instance", "gateway", "limit", "type", "code", "robot", "tenant", "team", "owner"}

// duration writes d with its two largest units, rounded down.
func (w words) duration(d time.Duration) string {
	s := int(max(d, 0) / time.Second)
	units := []struct {
		format string
		n      int
	}{{w.day, s / 86400}, {w.hour, s / 3600 % 24}, {w.minute, s / 60 % 60}, {w.second, s % 60}}
	for i, u := range units {
		if u.n == 0 {
			continue
		}
		out := fmt.Sprintf(u.format, u.n)
		if i+1 < len(units) && units[i+1].n > 0 {
			out += fmt.Sprintf(units[i+1].format, units[i+1].n)
		}
		return trimRight(out)
	}
	return fmt.Sprintf(w.second, 0)
}

func (w words) severityText(s string) string {
	switch rank(s) {
	case 0:
		return w.page
	case 2:
		return w.ticket
	}
	return s
}
