"""The platform against a real vLLM server on this machine's processors: `make test-vllm`."""
