package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// On a cluster each table NAME is two: NAME_local, replicated, on each server, and
// NAME, which spreads a query over all shards. Collectors insert into the local
// table of a server and views fill the local rollups, so an insert stays on its
// server with its deduplication token; whoever asks says the same everywhere.

// localSuffix tells the table on one server.
const localSuffix = "_local"

func local(table, cluster string) string {
	if cluster == "" {
		return table
	}
	return table + localSuffix
}

// LocalSuffix ends the names of tables that rows are inserted into, see
// [clickhouse.Options].
func (c Config) LocalSuffix() string { return local("", c.Cluster) }

func onCluster(cluster string) string {
	if cluster == "" {
		return ""
	}
	return " ON CLUSTER " + name(cluster)
}

// What the migrations consist of. Names are plain, statements start at the beginning
// of a line and end with a semicolon at the end of one.
var (
	statementEnd = regexp.MustCompile(`(?m);[ \t]*$`)
	createTable  = regexp.MustCompile(`(?m)^CREATE TABLE IF NOT EXISTS (\w+) \(`)
	createView   = regexp.MustCompile(`(?m)^CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) TO (\w+) AS$`)
	alterView    = regexp.MustCompile(`(?m)^ALTER TABLE (\w+) MODIFY QUERY`)
	alterTable   = regexp.MustCompile(`(?m)^ALTER TABLE (\w+) `)
	viewSource   = regexp.MustCompile(`(?m)^FROM (\w+) AS`)
	engine       = regexp.MustCompile(`(?m)^\) ENGINE = (\w*)MergeTree(?:\((\w+)\))?$`)
	windowOf     = regexp.MustCompile(`non_replicated_deduplication_window`)
	orderBy      = regexp.MustCompile(`(?m)^ORDER BY \(?(\w+)`)
	comments     = regexp.MustCompile(`(?m)^--.*\n`)
)

// errUnknown says that a migration has a form that clusters do not know.
var errUnknown = errors.New("statement that is not known on clusters")

// clustered is a migration for a cluster.
func clustered(migration, cluster string) (string, error) {
	var out strings.Builder
	for _, statement := range statementEnd.Split(migration, -1) {
		body := strings.TrimSpace(comments.ReplaceAllString(statement, ""))
		if body == "" {
			out.WriteString(statement)
			continue
		}
		s, err := clusteredStatement(statement, body, cluster)
		if err != nil {
			return "", err
		}
		out.WriteString(s)
	}
	return out.String(), nil
}

func clusteredStatement(statement, body, cluster string) (string, error) {
	on := onCluster(cluster)
	switch {
	case createTable.MatchString(body):
		table := createTable.FindStringSubmatch(body)[1]
		if !engine.MatchString(body) {
			return "", fmt.Errorf("%w: engine of %s", errUnknown, table)
		}
		s := createTable.ReplaceAllString(statement, "CREATE TABLE IF NOT EXISTS ${1}"+localSuffix+on+" (")
		s = engine.ReplaceAllStringFunc(s, func(e string) string {
			m := engine.FindStringSubmatch(e)
			arguments := "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
			if m[2] != "" {
				arguments += ", " + m[2]
			}
			return ") ENGINE = Replicated" + m[1] + "MergeTree(" + arguments + ")"
		})
		s = windowOf.ReplaceAllString(s, "replicated_deduplication_window")
		return s + fmt.Sprintf(";\n\nCREATE TABLE IF NOT EXISTS %s%s AS %s%s\nENGINE = Distributed(%s, currentDatabase(), %s, %s);",
			table, on, table, localSuffix, quote(cluster), quote(table+localSuffix), shardOf(body)), nil
	case createView.MatchString(body):
		if !viewSource.MatchString(body) {
			return "", fmt.Errorf("%w: source of %s", errUnknown, createView.FindStringSubmatch(body)[1])
		}
		s := createView.ReplaceAllString(statement, "CREATE MATERIALIZED VIEW IF NOT EXISTS ${1}"+on+" TO ${2}"+localSuffix+" AS")
		return viewSource.ReplaceAllString(s, "FROM ${1}"+localSuffix+" AS") + ";", nil
	case alterView.MatchString(body):
		s := alterView.ReplaceAllString(statement, "ALTER TABLE ${1}"+on+" MODIFY QUERY")
		return viewSource.ReplaceAllString(s, "FROM ${1}"+localSuffix+" AS") + ";", nil
	case alterTable.MatchString(body):
		return alterTable.ReplaceAllString(statement, "ALTER TABLE ${1}"+localSuffix+on+" ") + ";", nil
	}
	first, _, _ := strings.Cut(body, "\n")
	return "", fmt.Errorf("%w: %s", errUnknown, first)
}

// shardOf is which server has a row that is inserted through the table over all of
// them: rows that replace each other have to meet.
func shardOf(create string) string {
	if key := orderBy.FindStringSubmatch(create); key != nil && strings.Contains(create, "= ReplacingMergeTree") {
		return "cityHash64(" + key[1] + ")"
	}
	return "rand()"
}

// replicasTimeout is how long a column may take to reach all replicas.
const replicasTimeout = time.Minute

// awaitColumns waits until every replica of the cluster has the columns of a table:
// before that, an insert of a new block on one of them would fail.
func awaitColumns(ctx context.Context, db *sql.DB, cluster, table string, columns []string) error {
	ctx, cancel := context.WithTimeout(ctx, replicasTimeout)
	defer cancel()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		lacking, err := lackColumns(ctx, db, cluster, table, columns)
		if err == nil && len(lacking) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("columns of %s: not yet on %s of cluster %s", table, strings.Join(lacking, ", "), cluster), err, ctx.Err())
		case <-poll.C:
		}
	}
}

// lackColumns are the replicas of a cluster whose table lacks one of the columns. A
// replica that does not answer is an error.
func lackColumns(ctx context.Context, db *sql.DB, cluster, table string, columns []string) (replicas []string, err error) {
	// A row for each replica that has none of them comes from system.one.
	rows, err := db.QueryContext(ctx, `
		SELECT replica, countIf(has($1, column)) AS n FROM (
			SELECT concat(hostName(), ':', toString(tcpPort())) AS replica, name AS column
			FROM clusterAllReplicas($4, system.columns) WHERE database = currentDatabase() AND table = $2
			UNION ALL
			SELECT concat(hostName(), ':', toString(tcpPort())), '' FROM clusterAllReplicas($4, system.one)
		) GROUP BY replica HAVING n < $3 ORDER BY replica`, columns, table, len(columns), cluster)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var replica string
		var n uint64
		if err := rows.Scan(&replica, &n); err != nil {
			return nil, err
		}
		replicas = append(replicas, replica)
	}
	return replicas, rows.Err()
}
