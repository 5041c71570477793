package calllogtest

import (
	"net"
	"strconv"

	"github.com/kongdao/kongdao/internal/calllog"
)

// object is a JSON object of Envoy's configuration.
type object map[string]any

const (
	types = "type.googleapis.com/envoy.extensions."
	limit = types + "filters.http.local_ratelimit.v3.LocalRateLimit"
)

func bootstrap(g *Gateway, als string, keep calllog.Headers) object {
	loggers := []any{}
	if !g.options.NoFile {
		loggers = append(loggers, fileLog(g.LogPath, g.options.Format, keep))
	}
	clusters := []any{cluster("feed", g.Pod, nil), cluster("dead", "127.0.0.1:1", nil)}
	if als != "" {
		loggers = append(loggers, grpcLog(g.options.ALSDefaults, keep))
		clusters = append(clusters, cluster("als", als, object{"typed_extension_protocol_options": object{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
				"@type":                types + "upstreams.http.v3.HttpProtocolOptions",
				"explicit_http_config": object{"http2_protocol_options": object{}},
			},
		}}))
	}
	manager := object{
		"@type":       types + "filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix": "test", "use_remote_address": true, "access_log": loggers,
		"route_config": object{"virtual_hosts": []any{object{"name": "all", "domains": []any{"*"}, "routes": routes()}}},
		"http_filters": []any{
			object{"name": "limit", "typed_config": object{"@type": limit, "stat_prefix": "limit"}},
			object{"name": "router", "typed_config": object{"@type": types + "filters.http.router.v3.Router"}},
		},
	}
	config := object{
		"node":  object{"id": "gw-1", "cluster": "main", "locality": object{"zone": "zb-a"}},
		"admin": object{"address": address("127.0.0.1:0")},
		"static_resources": object{
			"clusters": clusters,
			"listeners": []any{object{"name": "http", "address": address("127.0.0.1:0"), "filter_chains": []any{
				object{"filters": []any{object{"name": "http", "typed_config": manager}}},
			}}},
		},
	}
	if als != "" {
		config["stats_sinks"], config["stats_flush_interval"] = []any{counters()}, "0.2s"
	}
	return config
}

// counters sends what the gateway counted to the cluster als.
func counters() object {
	return object{"name": "counters", "typed_config": object{
		"@type": "type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig", "transport_api_version": "V3",
		"grpc_service": object{"envoy_grpc": object{"cluster_name": "als/r1"}}, "batch_size": 50,
	}}
}

func fileLog(path, format string, keep calllog.Headers) object {
	if format == "" {
		format = keep.TextFormat()
	}
	return object{"name": "file", "typed_config": object{
		"@type": types + "access_loggers.file.v3.FileAccessLog", "path": path,
		"log_format": object{"text_format_source": object{"inline_string": format}},
	}}
}

func grpcLog(defaults bool, keep calllog.Headers) object {
	var tags []any
	for _, tag := range calllog.ALSCustomTags() {
		if tag.Kind == "header" {
			tags = append(tags, object{"tag": tag.Name, "request_header": object{"name": tag.Key}})
			continue
		}
		tags = append(tags, object{"tag": tag.Name, "metadata": object{
			"kind":         object{tag.Kind: object{}},
			"metadata_key": object{"key": calllog.MetadataNamespace, "path": []any{object{"key": tag.Key}}},
		}})
	}
	common := object{
		"log_name": "calls", "transport_api_version": "V3",
		"grpc_service": object{"envoy_grpc": object{"cluster_name": "als/r1"}}, "custom_tags": tags,
	}
	if !defaults {
		common["buffer_flush_interval"] = "0.05s"
	}
	return object{"name": "als", "typed_config": object{
		"@type":                             types + "access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
		"additional_request_headers_to_log": keep.ALSRequestHeaders(),
		"common_config":                     common,
	}}
}

func routes() []any {
	route := func(name string, action object) object {
		action["name"] = name + "/0"
		action["match"] = object{"prefix": "/" + name}
		action["metadata"] = metadata(object{"tenant": "recommend", "function": name})
		return action
	}
	to := func(cluster string, more object) object {
		more["cluster"] = cluster + "/r1"
		return object{"route": more}
	}
	retry := func(on string) object { return object{"retry_policy": object{"retry_on": on, "num_retries": 2}} }
	limited := to("feed", object{})
	all := object{"default_value": object{"numerator": 100}}
	limited["typed_per_filter_config"] = object{"limit": object{
		"@type": limit, "stat_prefix": "limit", "filter_enabled": all, "filter_enforced": all,
		"token_bucket": object{"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s"},
	}}
	keyed := route("feed", to("feed", object{}))
	keyed["match"] = object{"prefix": "/feed", "headers": []any{object{"name": "x-test-consumer", "string_match": object{"exact": "app-7"}}}}
	keyed["request_headers_to_add"] = []any{object{"header": object{"key": calllog.ConsumerHeader, "value": "app-7"}}}
	return []any{
		keyed,
		route("feed", to("feed", object{})),
		route("slow", to("feed", object{"timeout": "0.1s"})),
		route("hang", to("feed", object{"timeout": "0s"})),
		route("reset", to("feed", retry("reset"))),
		route("dead", to("dead", retry("connect-failure"))),
		route("denied", object{"direct_response": object{"status": 403}}),
		route("limited", limited),
	}
}

func cluster(name, pod string, more object) object {
	c := object{
		"name": name + "/r1", "type": "STATIC", "connect_timeout": "5s", "metadata": metadata(object{"revision": "r1"}),
		"load_assignment": object{"cluster_name": name + "/r1", "endpoints": []any{object{"lb_endpoints": []any{
			object{"endpoint": object{"address": address(pod)}, "metadata": metadata(object{"zone": "zb-b"})},
		}}}},
	}
	for k, v := range more {
		c[k] = v
	}
	return c
}

func metadata(values object) object {
	return object{"filter_metadata": object{calllog.MetadataNamespace: values}}
}

func address(hostPort string) object {
	host, port, _ := net.SplitHostPort(hostPort) // from a listener, or written above
	number, _ := strconv.Atoi(port)
	return object{"socket_address": object{"address": host, "port_value": number}}
}
