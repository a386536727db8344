echo "built by $USER" > built
