from dfr_backup.engine.fileio.mounts import current_mounts, mount_of, parse_mounts

MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 27 8:17 / /srv rw,relatime shared:9 - xfs /dev/sdb1 rw
40 27 0:50 / /mnt/nas rw,relatime shared:12 master:3 - nfs4 nas:/backups rw,vers=4.2
41 27 0:51 / /mnt/my\\040share rw - cifs //nas/share rw
42 27 0:52 / /mnt/box rw - fuse.sshfs me@box:/ rw
43 42 8:17 / /mnt/box rw - ext4 /dev/sdb1 rw
"""


def where(path):
    mount = mount_of(path, parse_mounts(MOUNTINFO))
    return mount and (mount.point, mount.device, mount.is_network)


def test_path_leads_to_the_innermost_mount():
    assert where("/var/lib/odoo") == ("/", "8:1", False)
    assert where("/srv") == where("/srv/backups/odoo") == ("/srv", "8:17", False)
    assert where("/srvelse") == ("/", "8:1", False)
    assert where("/mnt/nas/../nas/odoo") == ("/mnt/nas", "0:50", True)
    assert where("/mnt/my share/odoo")[2]


def test_later_mount_covers_the_one_before_it():
    assert where("/mnt/box/odoo") == ("/mnt/box", "8:17", False)


def test_no_mounts_no_answer():
    assert mount_of("/srv", parse_mounts("")) is None
    assert mount_of("/srv", parse_mounts("a line that is none\n")) is None


def test_this_machine_has_a_root():
    assert mount_of("/", current_mounts()).point == "/"
