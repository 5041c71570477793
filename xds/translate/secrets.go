package translate

import (
	"fmt"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// ClientCASecret is the secret that holds what signs certificates of clients.
const ClientCASecret = "client-ca"

// CertificateSecret is the secret of a slot, see [model.TLS]. Gateways hold all of
// them from the start, so that a certificate comes, goes and changes as a secret
// alone: a changed listener would refill every bucket and drain connections.
func CertificateSecret(slot int) string { return fmt.Sprintf("certificate-%d", slot) }

// secrets are those that differ from a World before.
func secrets(before, w *model.World) map[string]*tlsv3.Secret {
	all := map[string]*tlsv3.Secret{}
	if w.TLS == nil {
		return all
	}
	var old model.TLS
	if before != nil && before.TLS != nil {
		old = *before.TLS
	}
	for i, c := range w.TLS.Slots {
		if i < len(old.Slots) && old.Slots[i] == c {
			continue
		}
		name := CertificateSecret(i)
		all[name] = &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: inline(c.Chain), PrivateKey: inline(c.Key.Reveal()),
		}}}
	}
	if ca := w.TLS.ClientCA; ca != "" && ca != old.ClientCA {
		all[ClientCASecret] = &tlsv3.Secret{Name: ClientCASecret, Type: &tlsv3.Secret_ValidationContext{
			ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(ca)},
		}}
	}
	return all
}

func inline(text string) *core.DataSource {
	return &core.DataSource{Specifier: &core.DataSource_InlineBytes{InlineBytes: []byte(text)}}
}
