package fleet

import "time"

// Feed is the function that the demo measures, limits and fails over.
const Feed = "recommend-feed"

// Host is the host name of all public functions of the demo.
const Host = "api.kongdao.demo"

// Function is one function of the demo platform.
type Function struct {
	Name, Tenant, Domain, Scenario string
	Path                           string // what the demo calls
	Route                          string // the pattern it is routed by
	PodsPerZone                    int
	Behaviour                      Behaviour
	Description                    string
}

// Zones are the zones of the demo.
func Zones() []string { return []string{"zb-a", "zb-b", "zb-c"} }

// Catalog is the demo platform: 22 functions in 14 scenarios over the domains
// of a travel site.
func Catalog() []Function {
	// The feed: 3 workers with 12.5 ms on average give a pod a raw capacity of
	// 240/s; what it can take within its objective is for the stress test to say.
	feed := Behaviour{Workers: 3, Mean: 12500 * time.Microsecond, Spread: 0.8, MaxQueue: 4096}
	light := Behaviour{Workers: 8, Mean: 3 * time.Millisecond, Spread: 0.5, MaxQueue: 1024}
	fn := func(domain, scenario, name, route, path, description string) Function {
		return Function{
			Name: name, Tenant: domain, Domain: domain, Scenario: scenario, Route: route, Path: path,
			PodsPerZone: 1, Behaviour: light, Description: description,
		}
	}
	all := []Function{
		fn("recommend", "home-feed", Feed, "/recommend/feed", "/recommend/feed", "the home page's feed"),
		fn("recommend", "home-feed", "recommend-rank", "/recommend/rank", "/recommend/rank", "orders candidates for one user"),
		fn("recommend", "detail-similar", "recommend-similar", "/recommend/similar/{item}", "/recommend/similar/42", "what goes with an item"),
		fn("rail", "rail-tour-search", "rail-tour-search", "/rail/tours", "/rail/tours", "high-speed rail tours by city"),
		fn("rail", "rail-tour-search", "rail-tour-filter", "/rail/tours/filters", "/rail/tours/filters", "filters of the tour search"),
		fn("rail", "rail-tour-detail", "rail-tour-detail", "/rail/tours/{id}", "/rail/tours/7", "one tour"),
		fn("rail", "rail-tour-search", "rail-timetable", "/rail/timetable/*", "/rail/timetable/hgh/bjs", "trains between two cities"),
		fn("visa-wifi", "visa-apply", "visa-materials", "/visa/{country}/materials", "/visa/jp/materials", "papers a visa needs"),
		fn("visa-wifi", "visa-apply", "visa-progress", "/visa/orders/{id}", "/visa/orders/9", "how far a visa is"),
		fn("visa-wifi", "wifi-rental", "wifi-packages", "/wifi/packages", "/wifi/packages", "wifi boxes for a country"),
		fn("ticketing", "ticket-booking", "ticket-price", "/tickets/price", "/tickets/price", "prices of a day"),
		fn("ticketing", "ticket-booking", "ticket-stock", "/tickets/stock", "/tickets/stock", "what is left"),
		fn("ticketing", "ticket-after-sale", "ticket-refund-rule", "/tickets/refund-rules/{id}", "/tickets/refund-rules/3", "rules of a refund"),
		fn("discovery", "discovery-channel", "discovery-topics", "/discovery/topics", "/discovery/topics", "topics of the week"),
		fn("discovery", "discovery-channel", "discovery-notes", "/discovery/notes/{id}", "/discovery/notes/11", "a traveller's note"),
		fn("discovery", "discovery-search", "discovery-suggest", "/discovery/suggest", "/discovery/suggest", "suggestions while typing"),
		fn("resource", "resource-slots", "resource-slots", "/resources/slots", "/resources/slots", "what is shown in which place"),
		fn("resource", "resource-slots", "resource-materials", "/resources/materials/{id}", "/resources/materials/5", "pictures and texts of a slot"),
		fn("interaction", "signin-game", "interaction-signin", "/interaction/signin", "/interaction/signin", "daily sign-in"),
		fn("interaction", "coupon-rain", "interaction-coupons", "/interaction/coupons", "/interaction/coupons", "coupons of a user"),
		fn("back-office", "operator-console", "backoffice-audit", "/backoffice/audit/*", "/backoffice/audit/today", "who changed what"),
		fn("back-office", "operator-console", "backoffice-report", "/backoffice/report", "/backoffice/report", "figures of the day"),
	}
	all[0].PodsPerZone = 2
	all[0].Behaviour = feed
	return all
}
