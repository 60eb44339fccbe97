"""Lists the tools of an MCP server over streamable HTTP and asks for the changes of the last hours."""

import asyncio
import sys

from mcp import ClientSession
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client


async def main(url: str, token: str) -> None:
    http = create_mcp_http_client(headers={"Authorization": f"Bearer {token}"})
    async with http, streamable_http_client(url, http_client=http) as streams:
        async with ClientSession(streams[0], streams[1]) as session:
            await session.initialize()
            tools = await session.list_tools()
            print(*sorted(tool.name for tool in tools.tools))
            answer = await session.call_tool("changes", {"service": "checkout"})
            print(answer.content[0].text)


asyncio.run(main(sys.argv[1], sys.argv[2]))
