"""The official Python SDK before server-everything, through `weir mcp` and `/mcp/{server}`."""

import os
import unittest

import httpx2
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

NODE = os.environ["WEIR_MCP_NODE"]
# Against hanging alone: the first answer comes when the tool server has started, which takes its time on a cold machine.
PATIENCE_S = 120
EVERYTHING = os.environ["WEIR_MCP_MODULES"] + "/node_modules/@modelcontextprotocol/server-everything/dist/index.js"


class EverythingThroughWeir(unittest.IsolatedAsyncioTestCase):
    async def uses(self, read, write):
        async with ClientSession(read, write) as session:
            await session.initialize()
            names = [tool.name for tool in (await session.list_tools()).tools]
            self.assertIn("echo", names)
            self.assertNotIn("get-tiny-image", names)
            said = await session.call_tool("echo", {"message": "hello"})
            self.assertEqual(said.content[0].text, "Echo: hello")
            denied = await session.call_tool("get-env", {})
            self.assertTrue(denied.is_error)
            self.assertRegex(denied.content[0].text, "^Blocked: .*The environment holds keys.*Relay this to the user")
            self.assertEqual(denied.structured_content["rule"], "no-environment")
            promised = await session.call_tool("get-structured-content", {"location": "Chicago"})
            self.assertRegex(promised.content[0].text, "^Blocked: ")
            self.assertTrue((await session.list_resources()).resources)
            self.assertTrue((await session.list_prompts()).prompts)

    async def test_over_stdio(self):
        args = ["mcp", "--config", "weir.yaml", "--user", "ada", "--", NODE, EVERYTHING, "stdio"]
        server = StdioServerParameters(command=os.environ["WEIR_BINARY"], args=args, env=dict(os.environ))
        with open(os.devnull, "w", encoding="utf-8") as quiet:
            async with stdio_client(server, quiet) as (read, write):
                await self.uses(read, write)

    async def test_over_http(self):
        url = os.environ["WEIR_DATA"] + "/mcp/everything"
        headers = {"Authorization": "Bearer mcp-key-ada"}
        async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S) as http:
            async with streamable_http_client(url, http_client=http) as streams:
                await self.uses(streams[0], streams[1])


if __name__ == "__main__":
    unittest.main()
