package dingtalk

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// MaxParam bounds the value of one variable of a card, in bytes. DingTalk
// documents 1 KB.
const MaxParam = 1000

// Card is an interactive card in an app's group.
type Card struct {
	// ID is the card's outTrackId. A card that is delivered again with the same ID
	// is there once.
	ID     string
	Title  string // in the list of chats and in the notification
	Params map[string]string
	// At is who is mentioned: name by user id; texts may name them as [CardMention].
	At map[string]string
}

// CardMention is the text that mentions somebody in the markdown of a card.
func CardMention(userID, name string) string {
	return fmt.Sprintf("<a atId=%s>%s</a>", plain(userID), plain(name))
}

// Deliver makes a card and puts it into the group. Nil means that it is there, also
// when that became so by an earlier try whose answer was lost. Otherwise the error
// is a [*SendError]. The ID that it is there under is card.ID, or one made of it
// after DingTalk made a card and did not deliver it.
func (c *AppClient) Deliver(ctx context.Context, card Card) (id string, err error) {
	forward := false // buttons work for nobody outside of the group
	title := fit(card.Title, 200)
	id, tries := c.trackID(card.ID)
	in := map[string]any{
		"cardTemplateId": c.app.Template, "outTrackId": id, "callbackType": "STREAM", "userIdType": 1,
		"cardData": paramsOf(card.Params), "cardAtUserIds": slices.Sorted(maps.Keys(card.At)),
		"openSpaceId": "dtv1.card//IM_GROUP." + c.app.Conversation,
		"imGroupOpenSpaceModel": map[string]any{
			"supportForward": forward, "lastMessageI18n": map[string]string{"ZH_CN": title, "EN_US": title},
			"notification": map[string]any{"alertContent": title, "notificationOff": false},
		},
		"imGroupOpenDeliverModel": map[string]any{"robotCode": orElse(c.app.RobotCode, c.app.ClientID), "atUserIds": card.At},
	}
	var out struct {
		Success bool `json:"success"`
		Result  struct {
			Deliveries []struct {
				Success bool   `json:"success"`
				Message string `json:"errorMsg"`
			} `json:"deliverResults"`
		} `json:"result"`
	}
	err = c.call(ctx, http.MethodPost, "/v1.0/card/instances/createAndDeliver", in, &out)
	if reasonOf(err) == "param.cardAlreadyExist" {
		return id, nil
	}
	if err != nil {
		return "", err
	}
	for _, d := range out.Result.Deliveries {
		if !d.Success {
			return "", c.undelivered(card.ID, tries, d.Message)
		}
	}
	if !out.Success {
		return "", c.fail(Transient, http.StatusOK, "card was not made")
	}
	return id, nil
}

// deliveries is how often a card is tried to be delivered that DingTalk makes and
// does not deliver, such as to a group that the robot was removed from.
const deliveries = 3

// undelivered remembers that a card is made and is not in the group. The next try
// needs another ID: with this one DingTalk would say that the card is there.
func (c *AppClient) undelivered(id string, tries int, reason string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if tries+1 >= deliveries {
		delete(c.failed, id)
		return c.fail(Permanent, http.StatusOK, "card was not delivered: "+reason)
	}
	c.failed[id] = tries + 1
	return c.fail(Transient, http.StatusOK, "card was not delivered: "+reason)
}

func (c *AppClient) trackID(id string) (track string, tries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.failed[id]; n > 0 {
		return fmt.Sprintf("%s-r%d", id, n), n
	}
	return id, 0
}

// CardUpdate changes variables of a card where it is; others stay.
type CardUpdate struct {
	ID      string
	Params  map[string]string            // for everybody
	Private map[string]map[string]string // for single people, by user id
}

// Update changes a card. It can be repeated.
func (c *AppClient) Update(ctx context.Context, u CardUpdate) error {
	in := map[string]any{
		"outTrackId": u.ID, "userIdType": 1,
		"cardUpdateOptions": map[string]bool{"updateCardDataByKey": true, "updatePrivateDataByKey": true},
	}
	if len(u.Params) > 0 {
		in["cardData"] = paramsOf(u.Params)
	}
	if len(u.Private) > 0 {
		private := map[string]any{}
		for user, params := range u.Private {
			private[user] = paramsOf(params)
		}
		in["privateData"] = private
	}
	var out struct {
		Success bool `json:"success"`
	}
	if err := c.call(ctx, http.MethodPut, "/v1.0/card/instances", in, &out); err != nil {
		return err
	}
	if !out.Success {
		return c.fail(Transient, http.StatusOK, "card was not changed")
	}
	return nil
}

func paramsOf(params map[string]string) map[string]any {
	p := maps.Clone(params)
	for k, v := range p {
		p[k] = fit(v, MaxParam)
	}
	return map[string]any{"cardParamMap": p}
}

// Pages cuts text at line ends into as many values of variables as there may be;
// what does not fit is cut off with an ellipsis.
func Pages(text string, n int) []string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	var pages []string
	for len(text) > 0 && len(pages) < n-1 {
		if len(text) <= MaxParam {
			return append(pages, text)
		}
		end := strings.LastIndex(text[:MaxParam], "\n")
		if end <= 0 {
			end = len(fitRunes(text, MaxParam))
		}
		pages = append(pages, strings.TrimRight(text[:end], "\n"))
		text = strings.TrimLeft(text[end:], "\n")
	}
	if text != "" {
		pages = append(pages, fit(text, MaxParam))
	}
	return pages
}

// fit is s in at most n bytes, in whole characters, with an ellipsis where it was
// cut.
func fit(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const ellipsis = "…"
	return fitRunes(s, n-len(ellipsis)) + ellipsis
}

func fitRunes(s string, n int) string {
	end := 0
	for i := range s {
		if i > n {
			break
		}
		end = i
	}
	return s[:end]
}

func reasonOf(err error) string {
	if e, ok := err.(*SendError); ok { //nolint:errorlint // made here, never wrapped
		return e.reason
	}
	return ""
}
