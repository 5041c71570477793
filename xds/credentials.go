package xds

import (
	"errors"
	"fmt"
	"os"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// minSecret is the shortest secret that requests are signed with, in bytes.
const minSecret = 16

// secretsOfConsumers are what consumers show, resolved: hashes for the gateways, and
// secrets of signatures, which stay in this process.
type secretsOfConsumers struct {
	keys    map[string][]string
	secrets map[string][][]byte
	files   map[string]string
}

// credentials resolves everything that it can; what it cannot lets nobody in and
// is in the error, which holds no secret.
func (s *Server) credentials(set api.Set) (secretsOfConsumers, error) {
	c := secretsOfConsumers{map[string][]string{}, map[string][][]byte{}, map[string]string{}}
	var errs []error
	holders := map[string]string{}
	for _, consumer := range set.Consumers {
		bad := func(field string, i int, err error) {
			errs = append(errs, fmt.Errorf("%s: spec.%s[%d]: consumer %s: %w", consumer.Source, field, i, consumer.Name, err))
		}
		for i, secret := range consumer.Spec.Keys {
			hash, err := s.keyHash(secret)
			if other := holders[hash]; err == nil && other != "" && other != consumer.Name {
				err = fmt.Errorf("the key is that of consumer %s", other)
			}
			if err != nil {
				bad("keys", i, err)
				continue
			}
			holders[hash] = consumer.Name
			c.keys[consumer.Name] = append(c.keys[consumer.Name], hash)
		}
		for i, secret := range consumer.Spec.Signing {
			text, err := s.resolved(secret)
			if err == nil && len(text) < minSecret {
				err = fmt.Errorf("the secret has %d bytes, want at least %d", len(text), minSecret)
			}
			if err != nil {
				bad("signing", i, err)
				continue
			}
			c.secrets[consumer.Name] = append(c.secrets[consumer.Name], []byte(text))
		}
	}
	errs = append(errs, c.readFiles(set))
	return c, errors.Join(errs...)
}

func (s *Server) keyHash(secret api.Secret) (string, error) {
	if api.IsKeyHash(secret.Reveal()) {
		return model.HashKey(secret.Reveal()), nil
	}
	key, err := s.resolved(secret)
	if err != nil {
		return "", err
	}
	return model.HashKey(key), nil
}

func (s *Server) resolved(secret api.Secret) (string, error) {
	if s.resolve == nil {
		return "", errors.New("no way to resolve secrets is configured")
	}
	text, err := s.resolve(secret)
	if err == nil && text == "" {
		err = errors.New("it is empty")
	}
	return text, err
}

// readFiles reads the key sets that functions name by file.
func (c secretsOfConsumers) readFiles(set api.Set) error {
	var errs []error
	for _, f := range set.Functions {
		errs = c.readKeySets(errs, &f.Metadata, f.Spec.Access)
	}
	for _, g := range set.GatewayGroups {
		errs = c.readKeySets(errs, &g.Metadata, g.Spec.Access)
	}
	return errors.Join(errs...)
}

func (c secretsOfConsumers) readKeySets(errs []error, user *api.Metadata, access *api.Access) []error {
	if access == nil {
		return errs
	}
	for i, t := range access.JWT {
		path := t.JWKS.File
		if _, read := c.files[path]; path == "" || read {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: spec.access.jwt[%d].jwks.file of %s: %w", user.Source, i, user.Name, err))
		}
		c.files[path] = string(text)
	}
	return errs
}
