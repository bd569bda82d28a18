"""What a processor does for its sessions; it knows ports, never a store, a framework or a socket."""
