package dingtalktest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Card is an interactive card that was delivered.
type Card struct {
	ID           string // outTrackId
	Conversation string
	Template     string
	Params       map[string]string            // as everybody sees them now
	Private      map[string]map[string]string // beside, by user id
	At           map[string]string            // mentioned: name by user id
	Delivered    time.Time
	Updates      int
	Updated      time.Time // zero: never
}

func (c *Card) clone() Card {
	d := *c
	d.Params, d.At = maps.Clone(c.Params), maps.Clone(c.At)
	d.Private = map[string]map[string]string{}
	for u, p := range c.Private {
		d.Private[u] = maps.Clone(p)
	}
	return d
}

type paramMap struct {
	CardParamMap map[string]string `json:"cardParamMap"`
}

type createBody struct {
	CardTemplateID string              `json:"cardTemplateId"`
	OutTrackID     string              `json:"outTrackId"`
	CallbackType   string              `json:"callbackType"`
	CardData       *paramMap           `json:"cardData"`
	PrivateData    map[string]paramMap `json:"privateData"`
	OpenSpaceID    string              `json:"openSpaceId"`
	UserIDType     int                 `json:"userIdType"`
	CardAtUserIDs  []string            `json:"cardAtUserIds"`
	Space          *struct {
		SupportForward  *bool             `json:"supportForward"`
		LastMessageI18n map[string]string `json:"lastMessageI18n"`
		Notification    struct {
			AlertContent    string `json:"alertContent"`
			NotificationOff bool   `json:"notificationOff"`
		} `json:"notification"`
	} `json:"imGroupOpenSpaceModel"`
	Deliver *struct {
		RobotCode string            `json:"robotCode"`
		AtUserIDs map[string]string `json:"atUserIds"`
		Extension map[string]string `json:"extension"`
	} `json:"imGroupOpenDeliverModel"`
}

const spacePrefix = "dtv1.card//IM_GROUP."

// check applies the rules of the documentation, in its words.
func (b createBody) check(a *App) *refusal {
	robot := a.RobotCode
	if robot == "" {
		robot = a.ClientID
	}
	conversation, group := strings.CutPrefix(b.OpenSpaceID, spacePrefix)
	switch {
	case b.CardTemplateID == "":
		return bad("param.cardTemplateIdEmpty", "卡片模板Id为空")
	case !slices.Contains(a.Templates, b.CardTemplateID):
		return bad("param.templateNotExist", "模板不存在")
	case b.OutTrackID == "":
		return bad("param.outTrackIdEmpty", "业务标识outTrackId为空")
	case b.CardData == nil || len(b.CardData.CardParamMap) == 0:
		return bad("param.cardPublicDataEmpty", "卡片公共数据为空")
	case b.OpenSpaceID == "":
		return bad("param.openSpaceIdEmpty", "投放openSpaceId为空")
	case !group || conversation == "":
		return bad("param.openSpaceIdInvalid", "openSpaceId不符合规范")
	case b.Deliver == nil:
		return bad("param.openDeliverModelEmpty", "场域投放模型为空")
	case b.Deliver.RobotCode != robot:
		return bad("param.openDeliverModelError", "场域投放模型格式错误")
	case b.Space != nil && b.Space.SupportForward == nil:
		return bad("param.openSpaceModelInvalid", "错误的场域属性模型")
	case b.CallbackType != "STREAM":
		return bad("param.invalid", "存在非法参数: callbackType")
	}
	for u := range b.Deliver.AtUserIDs {
		if !slices.Contains(a.Users, u) {
			return bad("param.userIdNotExist", "用户user不存在")
		}
	}
	return a.checkParams(b.CardData, b.PrivateData)
}

func (a *App) checkParams(public *paramMap, private map[string]paramMap) *refusal {
	all := []paramMap{}
	if public != nil {
		all = append(all, *public)
	}
	for u, p := range private {
		if !slices.Contains(a.Users, u) {
			return bad("param.userIdNotExist", "用户user不存在")
		}
		all = append(all, p)
	}
	for _, p := range all {
		for name, value := range p.CardParamMap {
			if len(name) > maxParamName || len(value) > maxParamValue {
				return bad("param.invalid", fmt.Sprintf("存在非法参数: %s has %d bytes", name, len(value)))
			}
		}
	}
	return nil
}

func (s *Server) createCard(r *http.Request, body []byte, dry bool) (any, *refusal) {
	if ref := s.authorized(r); ref != nil {
		return nil, ref
	}
	var b createBody
	if err := strict(body, &b); err != nil {
		return nil, bad("param.invalid", err.Error())
	}
	if ref := b.check(s.cfg.App); ref != nil || dry {
		return nil, ref
	}
	conversation := strings.TrimPrefix(b.OpenSpaceID, spacePrefix)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.app.byID[b.OutTrackID] != nil {
		return nil, bad("param.cardAlreadyExist", "卡片已经存在")
	}
	c := &Card{
		ID: b.OutTrackID, Conversation: conversation, Template: b.CardTemplateID,
		Params: b.CardData.CardParamMap, Private: map[string]map[string]string{}, At: b.Deliver.AtUserIDs, Delivered: s.cfg.Now(),
	}
	s.app.byID[c.ID] = c // exists from now on, delivered or not
	result := map[string]any{"spaceType": "IM_GROUP", "spaceId": conversation, "success": true, "carrierId": "carrier-" + c.ID}
	if slices.Contains(s.cfg.App.Conversations, conversation) {
		s.app.cards = append(s.app.cards, c)
		s.tell()
	} else {
		result["success"], result["errorMsg"] = false, "SYSTEM_ERROR"
	}
	return map[string]any{"success": true, "result": map[string]any{"outTrackId": c.ID, "deliverResults": []any{result}}}, nil
}

type updateBody struct {
	OutTrackID  string              `json:"outTrackId"`
	CardData    *paramMap           `json:"cardData"`
	PrivateData map[string]paramMap `json:"privateData"`
	UserIDType  int                 `json:"userIdType"`
	Options     struct {
		Public  bool `json:"updateCardDataByKey"`
		Private bool `json:"updatePrivateDataByKey"`
	} `json:"cardUpdateOptions"`
}

func (s *Server) updateCard(r *http.Request, body []byte, dry bool) (any, *refusal) {
	if ref := s.authorized(r); ref != nil {
		return nil, ref
	}
	var b updateBody
	if err := strict(body, &b); err != nil {
		return nil, bad("param.invalid", err.Error())
	}
	if b.OutTrackID == "" {
		return nil, bad("param.outTrackIdEmpty", "业务标识 outTrackId 为空")
	}
	if b.CardData == nil && len(b.PrivateData) == 0 {
		return nil, bad("param.cardDataAndPrivateDataBothEmpty", "cardData 和 privateData 同时为空")
	}
	if ref := s.cfg.App.checkParams(b.CardData, b.PrivateData); ref != nil || dry {
		return nil, ref
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.app.byID[b.OutTrackID]
	if c == nil {
		return nil, bad("param.cardNotExist", "卡片不存在")
	}
	if b.CardData != nil {
		c.Params = merged(c.Params, b.CardData.CardParamMap, b.Options.Public)
	}
	for u, p := range b.PrivateData {
		c.Private[u] = merged(c.Private[u], p.CardParamMap, b.Options.Private)
	}
	c.Updates++
	c.Updated = s.cfg.Now()
	s.tell()
	return map[string]any{"success": true, "result": true}, nil
}

func merged(old, update map[string]string, byKey bool) map[string]string {
	next := map[string]string{}
	if byKey {
		maps.Copy(next, old)
	}
	maps.Copy(next, update)
	return next
}

// Cards are those delivered so far, in order, as they look now.
func (s *Server) Cards() []Card {
	s.mu.Lock()
	defer s.mu.Unlock()
	cards := make([]Card, len(s.app.cards))
	for i, c := range s.app.cards {
		cards[i] = c.clone()
	}
	return cards
}

// WaitCards blocks until enough says yes to the cards as they look, and returns
// them. It fails with the context.
func (s *Server) WaitCards(ctx context.Context, enough func([]Card) bool) ([]Card, error) {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		got := s.Cards()
		if enough(got) {
			return got, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return got, fmt.Errorf("wait for cards, %d there: %w", len(got), ctx.Err())
		}
	}
}

// tell wakes whoever waits for something to change; the caller holds the lock.
func (s *Server) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}
