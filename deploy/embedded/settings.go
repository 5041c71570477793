package embedded

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kongdao/kongdao/api"
)

const (
	host = "127.0.0.1"

	user    = "kongdao" // may do everything
	analyst = "analyst" // may read

	configFile = "config.xml"
	usersFile  = "users.xml"
	logFile    = "engine.log"
)

// The listeners live as long as the query after them: one that never ends and
// notices a KILL QUERY within a tenth of a second. Reading standard input with
// file('-') would end by itself, but needs READ ON FILE for the user "default",
// and with that any local client could read any file of this process.
//
// Nobody is let in before the gate has opened, see nowhere.
const (
	script = "SELECT file('" + gateFile + "') FORMAT Null; " +
		"SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; " +
		"SELECT sleepEachRow(0.1) FROM system.numbers FORMAT Null " +
		"SETTINGS function_sleep_max_microseconds_per_block = 0, max_block_size = 1, max_execution_time = 0"
	endScript = "KILL QUERY WHERE query LIKE '%sleepEachRow(0.1)%' AND query NOT LIKE 'KILL%' ASYNC"
	cancelled = "QUERY_WAS_CANCELLED" // how script ends after endScript
)

// configXML: caches and pools small enough for a machine that runs other things
// too. The defaults are 5 GiB for each mark cache and pools for a large server; the
// merge tree settings have to fit the smaller pool, else merges never start.
const configXML = `<clickhouse>
 <timezone>UTC</timezone>
 <logger><level>fatal</level></logger>
 <mark_cache_size>67108864</mark_cache_size>
 <index_mark_cache_size>16777216</index_mark_cache_size>
 <uncompressed_cache_size>0</uncompressed_cache_size>
 <index_uncompressed_cache_size>0</index_uncompressed_cache_size>
 <primary_index_cache_size>67108864</primary_index_cache_size>
 <compiled_expression_cache_size>33554432</compiled_expression_cache_size>
 <mmap_cache_size>64</mmap_cache_size>
 <max_server_memory_usage>%[2]d</max_server_memory_usage>
 <max_connections>100</max_connections>
 <max_concurrent_queries>50</max_concurrent_queries>
 <background_pool_size>2</background_pool_size>
 <background_move_pool_size>1</background_move_pool_size>
 <background_fetches_pool_size>1</background_fetches_pool_size>
 <background_common_pool_size>2</background_common_pool_size>
 <background_buffer_flush_schedule_pool_size>1</background_buffer_flush_schedule_pool_size>
 <background_schedule_pool_size>8</background_schedule_pool_size>
 <background_message_broker_schedule_pool_size>1</background_message_broker_schedule_pool_size>
 <background_distributed_schedule_pool_size>1</background_distributed_schedule_pool_size>
 <merge_tree>
  <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
  <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
  <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
 </merge_tree>
 <user_files_path>%[1]s/user_files/</user_files_path>
 <users_config>%[1]s/users.xml</users_config>
 <access_control_improvements>
  <users_without_row_policies_can_read_rows>true</users_without_row_policies_can_read_rows>
  <on_cluster_queries_require_cluster_grant>true</on_cluster_queries_require_cluster_grant>
  <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
  <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
  <settings_constraints_replace_previous>true</settings_constraints_replace_previous>
  <table_engines_require_grant>true</table_engines_require_grant>
 </access_control_improvements>
%[3]s
</clickhouse>
`

// usersXML: the script above runs as "default", which therefore cannot have a
// password, and any local client can be it. So it may do next to nothing. Of the
// other passwords the file holds hashes only.
const usersXML = `<clickhouse>
 <profiles>
  <default><poll_interval>1</poll_interval></default>
  <app><poll_interval>1</poll_interval><max_memory_usage>%[1]d</max_memory_usage></app>
  <reader><poll_interval>1</poll_interval><max_memory_usage>%[1]d</max_memory_usage><readonly>2</readonly><max_execution_time>60</max_execution_time></reader>
%[4]s </profiles>
 <quotas><default/>%[5]s</quotas>
 <users>
  <default>
   <password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
   <grants>
    <query>GRANT SYSTEM LISTEN ON *.*</query>
    <query>GRANT SELECT ON system.numbers</query>
   </grants>
  </default>
  <kongdao>
   <password_sha256_hex>%[2]s</password_sha256_hex><networks><ip>127.0.0.1</ip></networks><profile>app</profile><quota>default</quota>
   <access_management>1</access_management>
  </kongdao>
  <analyst>
   <password_sha256_hex>%[3]s</password_sha256_hex><networks><ip>127.0.0.1</ip></networks><profile>reader</profile><quota>default</quota>
   <grants>
    <query>GRANT SELECT ON default.*</query>
   </grants>
  </analyst>
%[6]s </users>
</clickhouse>
`

// writeSettings writes what the engine reads at its start. cfg.Dir has to be absolute.
func writeSettings(cfg Config, app, reader api.Secret) error {
	dir, maxMemory := cfg.Dir, cfg.MaxMemoryBytes
	profile, quotas, users := readersXML(cfg.Readers, maxMemory/4)
	return errors.Join(
		os.MkdirAll(filepath.Join(dir, "user_files"), 0o700),
		os.WriteFile(filepath.Join(dir, configFile), fmt.Appendf(nil, configXML, escape(dir), maxMemory, cfg.ServerXML), 0o600),
		os.WriteFile(filepath.Join(dir, usersFile), fmt.Appendf(nil, usersXML, maxMemory/2, hash(app), hash(reader), profile, quotas, users), 0o600),
	)
}

func hash(s api.Secret) string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return hex.EncodeToString(sum[:])
}

func randomPassword() api.Secret { return api.Secret(rand.Text()) }
