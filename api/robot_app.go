package api

import "strings"

// RobotApp is an app of the organisation whose robot is in a group: it sends cards
// with buttons, and hears over an outbound WebSocket who pressed them.
type RobotApp struct {
	ClientID           string `yaml:"clientId" json:"clientId"`
	ClientSecret       Secret `yaml:"clientSecret" json:"clientSecret"`
	RobotCode          string `yaml:"robotCode" json:"robotCode,omitempty"`         // empty: clientId, as it is for robots of own apps
	OpenConversationID string `yaml:"openConversationId" json:"openConversationId"` // of the group that the robot is in
	CardTemplate       string `yaml:"cardTemplate" json:"cardTemplate"`             // id of a card template that is published; its variables are in docs/alerts.md
	OpenAPI            string `yaml:"openAPI" json:"openAPI,omitempty"`             // empty: https://api.dingtalk.com
}

func (a RobotApp) check(r *report) {
	for _, f := range []struct{ name, value, want string }{
		{"clientId", a.ClientID, "the app's Client ID, also called AppKey"},
		{"clientSecret", string(a.ClientSecret), "a reference such as ${env:DING_APP_SECRET}"},
		{"openConversationId", a.OpenConversationID, "the group's openConversationId"},
		{"cardTemplate", a.CardTemplate, "the id of a published card template"},
	} {
		if strings.TrimSpace(f.value) == "" {
			r.add("spec.app."+f.name, "is missing, want %s", f.want)
		}
	}
	if a.ClientSecret != "" {
		r.secretRef("spec.app.clientSecret", a.ClientSecret)
	}
	if a.OpenAPI != "" && !isHTTP(a.OpenAPI) {
		r.add("spec.app.openAPI", "is no http or https address, want https://api.dingtalk.com or a proxy of it")
	}
}
