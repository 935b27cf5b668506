"""What runs in the sandbox's own processes; never imported by the service.

The interpreter of a sandbox imports this folder as the top-level package `inside`, so its modules
import the standard library and each other only. `supervisor` is trusted and outlives the code;
`runner` shares its process with the code.
"""
