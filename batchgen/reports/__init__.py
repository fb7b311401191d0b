"""What people read: gallery, results, plan, progress."""
