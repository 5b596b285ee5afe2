"""Starting the processes of a deployment, keeping them running, and ending them in order."""
