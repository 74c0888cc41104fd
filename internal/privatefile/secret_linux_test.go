package privatefile

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// TestR36_SecretsOfSystemdAreRead reads, as another user, a file as LoadCredential=
// makes it: root's, with an access control list that lets the service's user read
// it. Its mode shows the mask of the list in place of the group's rights.
func TestR36_SecretsOfSystemdAreRead(t *testing.T) {
	if os.Geteuid() != 0 {
		require.SkipUnlessRequired(t, "only root can give files to others")
	}
	const user, group = 54322, 54323
	folder := reachable(t)
	for owner, says := range map[int]string{0: "it holds value", 54324: "belongs to another user", user: "chmod 600"} {
		path := filepath.Join(folder, "state.key")
		mustWrite(t, path, "value", 0o400)
		mustChown(t, path, owner, 0)
		allowToRead(t, path, user)
		mustHaveMode(t, path, 0o440)
		output := asUser(t, user, group, "TestReadASecretForAnotherTest", "PRIVATEFILE_TEST_READ="+path)
		if !strings.Contains(output, says) {
			t.Errorf("a file of user %d: it should say %q: %s", owner, says, output)
		}
	}
}

// allowToRead sets an access control list: the owner and one more user can read.
func allowToRead(t *testing.T, path string, user uint32) {
	t.Helper()
	const owner, named, group, mask, other = 0x01, 0x02, 0x04, 0x10, 0x20
	const nobody = 1<<32 - 1
	list := binary.LittleEndian.AppendUint32(nil, 2) // the version
	for _, entry := range []struct {
		tag, rights uint16
		id          uint32
	}{{owner, 4, nobody}, {named, 4, user}, {group, 0, nobody}, {mask, 4, nobody}, {other, 0, nobody}} {
		list = binary.LittleEndian.AppendUint16(list, entry.tag)
		list = binary.LittleEndian.AppendUint16(list, entry.rights)
		list = binary.LittleEndian.AppendUint32(list, entry.id)
	}
	if err := unix.Setxattr(path, "system.posix_acl_access", list, 0); err != nil {
		require.SkipUnlessRequired(t, "the file system has no access control lists: "+err.Error())
	}
}
