"""What is known of the mesh: the file as loaded, its health, its unwrap, its atlas and the fields on its surface.

One subject, not a socket: `mesh` holds the frozen arrays everything else stands on, `health` reports on them, `unwrap` gives
UVs to a mesh that has none, `atlas` says what lies under each texel, and the remaining modules are fields derived from these.
"""
