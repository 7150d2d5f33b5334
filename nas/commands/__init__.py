"""The words of the command `nas`: each module declares its arguments (`add`), calls one function and prints (`run`)."""
