package embedded

import (
	"encoding/xml"
	"fmt"
	"strings"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
)

// readersXML are the parts of users.xml for readers: users cannot be made with SQL
// here. A query of a reader may take memory bytes. The user that a reader's views
// run as has no network and a password that nobody knows: nobody can be it. Where
// one user has a filter on a table, those without see all rows.
func readersXML(readers []schema.Reader, memory int64) (profile, quotas, users string) {
	if len(readers) == 0 {
		return "", "", ""
	}
	var q, u strings.Builder
	for _, r := range readers {
		user, definer := schema.ReaderUser(database, r.Name), schema.ReaderDefiner(database, r.Name)
		fmt.Fprintf(&q, "\n  <%s><interval><duration>60</duration><queries>%d</queries><execution_time>%d</execution_time></interval></%s>",
			user, schema.ReaderQueries, schema.ReaderQuerySeconds, user)
		fmt.Fprintf(&u, readerXML, user, r.TokenHash(), definer, hash(randomPassword()), grantsXML(), filtersXML(r))
	}
	return profileXML(schema.ReaderLimits(memory)), q.String(), u.String()
}

const database = "default"

const readerXML = `  <%[1]s>
   <password_sha256_hex>%[2]s</password_sha256_hex><networks><ip>127.0.0.1</ip></networks><profile>limited</profile><quota>%[1]s</quota>
   <default_database>%[1]s</default_database>
   <grants><query>GRANT SELECT ON %[1]s.*</query></grants>
  </%[1]s>
  <%[3]s>
   <password_sha256_hex>%[4]s</password_sha256_hex><networks></networks><profile>limited</profile><quota>default</quota>
   <grants>%[5]s</grants>
   <databases><default>%[6]s</default></databases>
  </%[3]s>
`

func grantsXML() string {
	var b strings.Builder
	for _, table := range schema.ReaderTables() {
		fmt.Fprintf(&b, "<query>GRANT SELECT ON %s.%s</query>", database, table)
	}
	return b.String()
}

func filtersXML(r schema.Reader) string {
	var b strings.Builder
	for _, table := range schema.ReaderTables() {
		fmt.Fprintf(&b, "<%s><filter>%s</filter></%s>", table, escape(r.Filter()), table)
	}
	return b.String()
}

func profileXML(limits []schema.Limit) string {
	var values, constraints strings.Builder
	for _, l := range limits {
		fmt.Fprintf(&values, "   <%s>%s</%s>\n", l.Name, l.Value, l.Name)
		if l.Max != "" {
			fmt.Fprintf(&constraints, "<%s><min>%s</min><max>%s</max><changeable_in_readonly/></%s>", l.Name, l.Min, l.Max, l.Name)
		}
	}
	return "  <limited>\n" + values.String() + "   <constraints>" + constraints.String() + "</constraints>\n  </limited>\n"
}

// escape is text for XML.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
