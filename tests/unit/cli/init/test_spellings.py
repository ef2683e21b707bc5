# ruff: noqa: E501  a table of projects
"""`penstock init` in projects of many spellings: the port is right where it is said, and else a guess that says so."""

from pathlib import Path

import pytest

from penstock.cli.init import init
from penstock.cli.init.folder import Folder
from penstock.cli.init.frameworks import find

Files = dict[str, str]

# fmt: off
PROJECTS: dict[str, tuple[Files, list[tuple[int, bool]]]] = {
    'ws import default': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'server.js': "import { WebSocketServer as Wss } from 'ws';\nconst wss = new Wss({ port: 8123 });\n",
        },
        [(8123, True)],
    ),
    'ws require': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'index.js': "const Ws = require('ws');\nconst s = new Ws.Server({ port: +process.env.WS_PORT || 8124 });\n",
        },
        [(8124, True)],
    ),
    'ws config obj': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'config.js': 'module.exports = { port: 8125 };\n',
            'server.js': "const config = require('./config');\nserver.listen(config.port);\n",
        },
        [(8125, True)],
    ),
    'ws config json': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'config.json': '{"port": 8126}',
            'server.js': "const config = require('./config.json');\nserver.listen(config.port);\n",
        },
        [(8126, True)],
    ),
    'express-ws': (
        {
            'package.json': '{"dependencies": {"express": "1", "express-ws": "1"}, "scripts": {}}',
            'app.js': "const app=express(); require('express-ws')(app); app.set('port', process.env.PORT || 4321); app.listen(app.get('port'));\n",
        },
        [(4321, True)],
    ),
    'socket.io nested src': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {"start": "node dist/index.js"}}',
            'src/server/index.ts': "const PORT = process.env.PORT ? parseInt(process.env.PORT) : 4433;\nhttpServer.listen(PORT, '0.0.0.0');\n",
        },
        [(4433, True)],
    ),
    'socket.io attach': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {}}',
            'index.js': "const io = require('socket.io')(3210);\n",
        },
        [(3210, True)],
    ),
    'io.listen': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {}}',
            'index.js': 'const io = new Server();\nio.listen(3211);\n',
        },
        [(3211, True)],
    ),
    'port env underscore': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {}}',
            'index.js': 'const { PORT = 3212 } = process.env;\nserver.listen(PORT);\n',
        },
        [(3212, True)],
    ),
    'env destruct .env': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {}}',
            '.env': 'PORT=3213\n',
            'index.js': 'const { PORT } = process.env;\nserver.listen(PORT);\n',
        },
        [(3213, False)],
    ),
    'express generator www': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {"start": "node ./bin/www"}}',
            'bin/www': "#!/usr/bin/env node\nvar port = normalizePort(process.env.PORT || '3214');\nserver.listen(port);\n",
        },
        [(3214, True)],
    ),
    'numeric separators': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'index.js': 'server.listen(8_080);\n',
        },
        [(8080, True)],
    ),
    'fastify': (
        {
            'package.json': '{"dependencies": {"fastify": "1", "@fastify/websocket": "1"}, "scripts": {}}',
            'server.ts': 'fastify.listen({ port: Number(process.env.PORT) || 3215, host })\n',
        },
        [(3215, True)],
    ),
    'uws': (
        {
            'package.json': '{"dependencies": {"uWebSockets.js": "1"}, "scripts": {}}',
            'server.js': "uWS.App().ws('/*', {}).listen(9011, (token) => {});\n",
        },
        [(9011, True)],
    ),
    'uws sep var': (
        {
            'package.json': '{"dependencies": {"uWebSockets.js": "1"}, "scripts": {}}',
            'server.js': "const port = 9012;\nconst app = uWS.SSLApp({\n key_file_name: 'a'\n}).ws('/*', {\n open: (ws) => {},\n message: (ws, m) => { ws.send(m); }\n}).listen(port, (t) => {});\n",
        },
        [(9012, True)],
    ),
    'nest env': (
        {
            'package.json': '{"dependencies": {"@nestjs/core": "1"}, "scripts": {}}',
            'src/main.ts': "async function bootstrap() { const app = await NestFactory.create(AppModule); const cfg = app.get(ConfigService); await app.listen(cfg.get('PORT') ?? 3216); }\n",
        },
        [(3216, True)],
    ),
    'nest gateway own port': (
        {
            'package.json': '{"dependencies": {"@nestjs/core": "1", "@nestjs/websockets": "1"}, "scripts": {}}',
            'src/main.ts': 'await app.listen(3000);\n',
            'src/chat.gateway.ts': '@WebSocketGateway(3217, { cors: true })\nexport class ChatGateway {}\n',
        },
        [(3000, True)],
    ),
    'next custom server': (
        {
            'package.json': '{"dependencies": {"next": "1", "ws": "1"}, "scripts": {"dev": "node server.js", "start": "NODE_ENV=production node server.js"}}',
            'server.js': "const port = parseInt(process.env.PORT || '3218', 10)\nserver.listen(port, () => {})\n",
        },
        [(3218, True)],
    ),
    'next default': (
        {
            'package.json': '{"dependencies": {"next": "1"}, "scripts": {"dev": "next dev --turbo", "start": "next start --port 3219"}}',
        },
        [(3219, True)],
    ),
    'vite func': (
        {
            'package.json': '{"dependencies": {"vite": "1"}, "scripts": {"dev": "vite"}}',
            'vite.config.ts': 'export default defineConfig(({mode}) => ({ plugins: [react()], server: { port: Number(process.env.VITE_PORT) || 5199, hmr: { port: 24678 } } }))\n',
        },
        [(5199, True)],
    ),
    'vite preview': (
        {
            'package.json': '{"dependencies": {"vite": "1"}, "scripts": {"dev": "vite"}}',
            'vite.config.js': "export default { preview: { port: 4999 }, server: { proxy: { '/api': { target: 'http://localhost:8000' } }, port: 5198 } }\n",
        },
        [(5198, True)],
    ),
    'vite strings': (
        {
            'package.json': '{"devDependencies": {"vite": "5"}, "scripts": {"dev": "vite --host 0.0.0.0 --port=5197"}}',
        },
        [(5197, True)],
    ),
    'fastapi run': (
        {
            'requirements.txt': 'fastapi[standard]\n',
            'Dockerfile': 'CMD ["fastapi", "run", "app/main.py", "--port", "80"]\n',
        },
        [(80, True)],
    ),
    'fastapi dev': (
        {
            'pyproject.toml': '[project]\nname="a"\nversion="1"\ndependencies=["fastapi"]\n[tool.poe.tasks]\nserve="uvicorn app:app --port 8131"\n',
        },
        [(8131, True)],
    ),
    'uvicorn config obj': (
        {
            'main.py': 'import uvicorn\nfrom fastapi import FastAPI\nconfig = uvicorn.Config(app, port=8132)\nserver = uvicorn.Server(config)\n',
        },
        [(8132, True)],
    ),
    'uvicorn settings': (
        {
            'requirements.txt': 'fastapi\nuvicorn\n',
            'app/main.py': "import uvicorn\nfrom fastapi import FastAPI\nfrom app.config import settings\nuvicorn.run(app, host='0.0.0.0', port=settings.port)\n",
            'app/config.py': 'class Settings(BaseSettings):\n    port: int = 8133\n',
        },
        [(8133, True)],
    ),
    'hypercorn toml': (
        {
            'requirements.txt': 'quart\nhypercorn\n',
            'hypercorn.toml': 'bind = ["0.0.0.0:8134"]\n',
        },
        [(8134, True)],
    ),
    'hypercorn py': (
        {
            'app.py': "from quart import Quart, websocket\nimport asyncio\nfrom hypercorn.config import Config\nconfig = Config()\nconfig.bind = ['localhost:8135']\n",
        },
        [(8135, True)],
    ),
    'quart run': (
        {
            'app.py': 'from quart import Quart\napp = Quart(__name__)\napp.run(port=8136)\n',
        },
        [(8136, True)],
    ),
    'starlette': (
        {
            'requirements.txt': 'starlette\nuvicorn\n',
            'run.py': "import uvicorn\nif __name__ == '__main__':\n    uvicorn.run('app:app', port=8137, reload=True)\n",
        },
        [(8137, True)],
    ),
    'litestar': (
        {
            'requirements.txt': 'litestar\n',
            'Makefile': 'run:\n\tlitestar run --port 8138\n',
        },
        [(8138, True)],
    ),
    'sanic': (
        {
            'server.py': "from sanic import Sanic\napp = Sanic('a')\napp.run(host='0.0.0.0', port=8139)\n",
        },
        [(8139, True)],
    ),
    'daphne cmd': (
        {
            'manage.py': '',
            'requirements.txt': 'channels\ndaphne\n',
            'docker-compose.yml': 'services:\n  web:\n    command: daphne -b 0.0.0.0 -p 9002 proj.asgi:application\n    expose:\n      - 9002\n',
        },
        [(9002, True)],
    ),
    'channels two procs': (
        {
            'manage.py': '',
            'requirements.txt': 'django\nchannels\ndaphne\ngunicorn\n',
            'Procfile': 'web: gunicorn proj.wsgi --bind 0.0.0.0:8140\nws: daphne proj.asgi:application --port 8141 --bind 0.0.0.0\nworker: celery\n',
        },
        [(8141, True)],
    ),
    'flask sio run env': (
        {
            'requirements.txt': 'Flask-SocketIO\n',
            'wsgi.py': "from flask_socketio import SocketIO\nsocketio = SocketIO()\nif __name__=='__main__':\n    port = int(os.environ.get('PORT') or 5142)\n    socketio.run(app, host='0.0.0.0', port=port)\n",
        },
        [(5142, True)],
    ),
    'flask run': (
        {
            'requirements.txt': 'Flask-SocketIO\n',
            'Makefile': 'run:\n\tflask run --port 5143\n',
        },
        [(5143, True)],
    ),
    'flask env': (
        {
            'requirements.txt': 'Flask-SocketIO\n',
            '.flaskenv': 'FLASK_RUN_PORT=5144\n',
            'Makefile': 'run:\n\tflask run\n',
        },
        [(5144, True)],
    ),
    'aiohttp env': (
        {
            'requirements.txt': 'aiohttp\n',
            'main.py': "from aiohttp import web\nimport os\nPORT = int(os.getenv('PORT', default='8145'))\nweb.run_app(init(), port=PORT)\n",
        },
        [(8145, True)],
    ),
    'aiohttp site': (
        {
            'main.py': "from aiohttp import web\nrunner = web.AppRunner(app)\nsite = web.TCPSite(runner, 'localhost', 8146)\n",
        },
        [(8146, True)],
    ),
    'aiohttp import as': (
        {
            'main.py': 'import aiohttp.web as w\nw.run_app(app, port=8147)\n',
        },
        [(8147, True)],
    ),
    'tornado define': (
        {
            'main.py': "import tornado.web\nfrom tornado.options import define, options\ndefine('port', default=8148, type=int)\napp.listen(options.port)\n",
        },
        [(8148, True)],
    ),
    'tornado bind': (
        {
            'main.py': 'from tornado.httpserver import HTTPServer\nimport tornado.web\nserver = HTTPServer(app)\nserver.bind(8149)\nserver.start(0)\n',
        },
        [(8149, True)],
    ),
    'websockets serve host': (
        {
            's.py': "import asyncio, websockets\nHOST, PORT = '0.0.0.0', 8150\nasync def main():\n    async with websockets.serve(h, HOST, PORT):\n        await asyncio.Future()\n",
        },
        [(8150, True)],
    ),
    'websockets old': (
        {
            's.py': 'import websockets\nstart_server = websockets.serve(echo, "localhost", 8151)\n',
        },
        [(8151, True)],
    ),
    'websockets env': (
        {
            's.py': "from websockets.sync.server import serve\nimport os\nwith serve(h, '', int(os.environ['PORT'])) as s: s.serve_forever()\n",
            '.env': 'PORT=8152\n',
        },
        [(8152, True)],
    ),
    'websockets argparse': (
        {
            's.py': "import argparse, websockets\np.add_argument('--port', type=int, default=8153)\nargs = p.parse_args()\nwebsockets.serve(h, args.host, args.port)\n",
        },
        [(8153, True)],
    ),
    'phoenix dev': (
        {
            'mix.exs': '{:phoenix, "~> 1.7.14"}',
            'config/dev.exs': 'config :x, XWeb.Endpoint,\n  http: [ip: {127,0,0,1}, port: String.to_integer(System.get_env("PORT") || "4155")],\n',
        },
        [(4155, True)],
    ),
    'phoenix url 443': (
        {
            'mix.exs': '{:phoenix, "~> 1.7.14"}',
            'config/runtime.exs': 'host = System.get_env("PHX_HOST") || "example.com"\nport = String.to_integer(System.get_env("PORT") || "4156")\nconfig :x, XWeb.Endpoint,\n url: [host: host, port: 443, scheme: "https"],\n http: [ip: {0,0,0,0,0,0,0,0}, port: port]\n',
        },
        [(4156, True)],
    ),
    'phoenix url only': (
        {
            'mix.exs': '{:phoenix, "~> 1.7.14"}',
            'config/prod.exs': 'config :x, XWeb.Endpoint, url: [host: "example.com", port: 443]\n',
        },
        [(4000, False)],
    ),
    'rails puma7': (
        {
            'Gemfile': 'gem "rails"\n',
            'config/puma.rb': 'threads 3,3\nport ENV.fetch("PORT", 3157)\n',
        },
        [(3157, True)],
    ),
    'rails Procfile.dev': (
        {
            'Gemfile': 'gem "rails"\n',
            'Procfile.dev': 'web: env RUBY_DEBUG_OPEN=true bin/rails server -p 3158\njs: yarn build --watch\n',
        },
        [(3158, True)],
    ),
    'streamlit env': (
        {
            'requirements.txt': 'streamlit\n',
            'docker-compose.yml': 'services:\n  app:\n    environment:\n      - STREAMLIT_SERVER_PORT=8659\n',
        },
        [(8659, True)],
    ),
    'streamlit entry': (
        {
            'requirements.txt': 'streamlit\n',
            'Dockerfile': 'ENTRYPOINT ["streamlit", "run", "app.py", "--server.port=8660", "--server.address=0.0.0.0"]\n',
        },
        [(8660, True)],
    ),
    'gradio env': (
        {
            'requirements.txt': 'gradio\n',
            'Dockerfile': 'ENV GRADIO_SERVER_PORT=7961\n',
        },
        [(7961, True)],
    ),
    'gradio with': (
        {
            'app.py': "import gradio as gr\nwith gr.Blocks() as app:\n    pass\napp.queue(max_size=3).launch(server_name='0.0.0.0', server_port=int(os.environ.get('PORT', 7962)))\n",
        },
        [(7962, True)],
    ),
    'gradio chat': (
        {
            'app.py': 'import gradio as gr\ngr.ChatInterface(fn).launch(server_port=7963)\n',
        },
        [(7963, True)],
    ),
    'jupyter short': (
        {
            'requirements.txt': 'jupyterlab\n',
            'Makefile': 'lab:\n\tjupyter-lab --ip=0.0.0.0 --port=8864\n',
        },
        [(8864, True)],
    ),
    'jupyter json': (
        {
            'requirements.txt': 'jupyterlab\n',
            'jupyter_server_config.json': '{"ServerApp": {"port": 8865}}',
        },
        [(8865, True)],
    ),
    'deno task': (
        {
            'deno.json': '{"tasks": {"start": "deno run -A server.ts --port 8166"}}',
            'server.ts': "Deno.serve({ hostname: '0.0.0.0', port: Number(Deno.env.get('PORT')) || 8166 }, h)\n",
        },
        [(8166, True)],
    ),
    'deno serve cmd': (
        {
            'deno.json': '{"tasks": {"start": "deno serve --port 8167 main.ts"}}',
        },
        [(8167, True)],
    ),
    'deno oak': (
        {
            'deno.jsonc': '// c\n{}',
            'main.ts': 'await app.listen({ port: 8168 });\n',
        },
        [(8168, True)],
    ),
    'deno default': (
        {
            'deno.json': '{}',
            'main.ts': "Deno.serve((req) => new Response('x'));\n",
        },
        [(8000, False)],
    ),
    'bun export': (
        {
            'bun.lock': '',
            'package.json': '{"dependencies": {}, "scripts": {"start": "bun run index.ts"}}',
            'index.ts': 'export default { port: 3169, fetch(req, server) { server.upgrade(req) }, websocket: {} };\n',
        },
        [(3169, True)],
    ),
    'bun env': (
        {
            'bun.lock': '',
            'package.json': '{"dependencies": {}, "scripts": {}}',
            'index.ts': 'Bun.serve({ port: Bun.env.PORT ?? 3170, fetch(req) {} });\n',
        },
        [(3170, True)],
    ),
    'bun elysia': (
        {
            'bun.lockb': '',
            'package.json': '{"dependencies": {"elysia": "1"}, "scripts": {}}',
            'src/index.ts': "new Elysia().ws('/ws', {}).listen(3171);\n",
        },
        [(3171, True)],
    ),
    'hono': (
        {
            'package.json': '{"dependencies": {"hono": "1", "@hono/node-server": "1", "@hono/node-ws": "1"}, "scripts": {}}',
            'src/index.ts': 'const server = serve({ fetch: app.fetch, port: 3172 });\n',
        },
        [(3172, True)],
    ),
    'compose env': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {}}',
            'server.js': 'server.listen(process.env.PORT);\n',
            'compose.yml': 'services:\n  app:\n    build: .\n    environment:\n      PORT: 4175\n    ports:\n      - 14175:4175\n',
        },
        [(14175, True)],
    ),
    'compose long': (
        {
            'requirements.txt': 'fastapi\n',
            'compose.yml': 'services:\n  app:\n    ports:\n      - target: 8000\n        published: "18076"\n',
        },
        [(18076, False)],
    ),
    'compose var': (
        {
            'requirements.txt': 'fastapi\n',
            'compose.yml': 'services:\n  app:\n    ports:\n      - "${APP_PORT:-18077}:8000"\n',
        },
        [(18077, False)],
    ),
    'compose range ip': (
        {
            'requirements.txt': 'fastapi\n',
            'compose.yml': "services:\n  app:\n    ports: ['0.0.0.0:18078:8000/tcp']\n",
            'Dockerfile': 'CMD uvicorn a:b --host 0.0.0.0 --port 8000\n',
        },
        [(18078, True)],
    ),
    'dockerfile multi expose': (
        {
            'requirements.txt': 'fastapi\n',
            'Dockerfile': 'EXPOSE 8179/tcp 9000\n',
        },
        [(8179, False)],
    ),
    'dockerfile ARG': (
        {
            'requirements.txt': 'fastapi\n',
            'Dockerfile': 'ARG PORT=8180\nENV PORT=${PORT}\nCMD uvicorn a:b --port $PORT\n',
        },
        [(8180, True)],
    ),
    'dockerfile lower': (
        {
            'requirements.txt': 'fastapi\n',
            'Dockerfile': 'from python\nexpose 8181\n',
        },
        [(8181, False)],
    ),
    'procfile honcho': (
        {
            'requirements.txt': 'fastapi\nstreamlit\n',
            'Procfile': 'api: uvicorn api:app --port 8182\nui: streamlit run ui.py --server.port 8183\n',
        },
        [(8183, True), (8182, True)],
    ),
    'procfile 2 fastapi': (
        {
            'requirements.txt': 'fastapi\nuvicorn\n',
            'Procfile': 'api: uvicorn api:app --port 8184\nadmin: uvicorn admin:app --port 8185\n',
        },
        [(8184, True), (8185, True)],
    ),
    'mono workspaces': (
        {
            'package.json': '{"workspaces": ["apps/*"]}',
            'apps/web/package.json': '{"dependencies": {"next": "1"}, "scripts": {"start": "next start -p 3187"}}',
            'apps/ws/package.json': '{"dependencies": {"ws": "1"}, "scripts": {"start": "node index.js"}}',
            'apps/ws/index.js': 'new WebSocketServer({port: 8187})\n',
        },
        [(3187, True), (8187, True)],
    ),
    'uv script port env': (
        {
            'requirements.txt': 'fastapi\n',
            '.env': 'UVICORN_PORT=8188\n',
            'start.sh': 'uvicorn a:b\n',
        },
        [(8188, True)],
    ),
    'systemd': (
        {
            'requirements.txt': 'fastapi\n',
            'deploy/app.service': '[Service]\nExecStart=/srv/app/.venv/bin/uvicorn a:b --port 8189\n',
        },
        [(8189, True)],
    ),
    'granian': (
        {
            'requirements.txt': 'fastapi\ngranian\n',
            'Procfile': 'web: granian --interface asgi --port 8190 a:b\n',
        },
        [(8190, True)],
    ),
    'gunicorn env': (
        {
            'requirements.txt': 'fastapi\ngunicorn\n',
            'Dockerfile': 'ENV GUNICORN_CMD_ARGS="--bind=0.0.0.0:8191"\nCMD ["gunicorn","a:b"]\n',
        },
        [(8191, True)],
    ),
    'gunicorn conf var': (
        {
            'requirements.txt': 'fastapi\ngunicorn\n',
            'gunicorn_conf.py': "import os\nport = os.getenv('PORT', '8192')\nbind = f'0.0.0.0:{port}'\n",
            'start.sh': 'gunicorn -c gunicorn_conf.py a:b\n',
        },
        [(8192, True)],
    ),
    'typed const ts': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'src/index.ts': "const PORT: number = Number(process.env['PORT'] ?? 8193);\nconst wss: WebSocketServer = new WebSocketServer({ noServer: true });\nserver.listen({ port: PORT }, () => {});\n",
        },
        [(8193, True)],
    ),
    'coffee https': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'index.js': "https.createServer({ key, cert }, app).listen(8443, '0.0.0.0');\n",
        },
        [(8443, True)],
    ),
    'sveltekit': (
        {
            'package.json': '{"devDependencies": {"@sveltejs/kit": "2", "vite": "5"}, "scripts": {"dev": "vite dev --port 5196"}}',
        },
        [(5196, True)],
    ),
    'comment py': (
        {
            'main.py': 'import uvicorn\nfrom fastapi import FastAPI\n# uvicorn.run(app, port=1111)\nuvicorn.run(app, port=8202)  # port=1112\n',
        },
        [(8202, True)],
    ),
    'poetry scripts': (
        {
            'pyproject.toml': '[tool.poetry]\nname="x"\n[tool.poetry.dependencies]\nfastapi="*"\n[tool.poetry.group.dev.dependencies]\nstreamlit="*"\n',
        },
        [(8000, False)],
    ),
    'uv groups': (
        {
            'pyproject.toml': '[project]\nname="x"\nversion="1"\ndependencies=["fastapi", "uvicorn"]\n[dependency-groups]\ndev=["jupyter"]\n',
        },
        [(8000, False)],
    ),
    'pipfile uv': (
        {
            'Pipfile': '[packages]\nfastapi="*"\n[scripts]\nserve="uvicorn main:app --port 8203"\n',
        },
        [(8203, True)],
    ),
    'justfile': (
        {
            'requirements.txt': 'fastapi\n',
            'justfile': 'run:\n  uvicorn main:app --port 8204\n',
        },
        [(8204, True)],
    ),
    'Taskfile': (
        {
            'requirements.txt': 'fastapi\n',
            'Taskfile.yml': 'tasks:\n  run:\n    cmds:\n      - uvicorn main:app --port 8205\n',
        },
        [(8205, True)],
    ),
    'fly.toml': (
        {
            'requirements.txt': 'fastapi\n',
            'fly.toml': '[http_service]\n  internal_port = 8207\n',
        },
        [(8207, False)],
    ),
    'pm2': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'server.js': 'server.listen(process.env.PORT)\n',
            'ecosystem.config.js': "module.exports = { apps: [{ script: 'server.js', env: { PORT: 8208 } }] }\n",
        },
        [(8208, True)],
    ),
    'docker run -p': (
        {
            'requirements.txt': 'fastapi\n',
            'run.sh': 'docker run -p 8209:80 image\n',
        },
        [(8209, False)],
    ),
    'bun dev vite': (
        {
            'bun.lockb': '',
            'package.json': '{"devDependencies": {"vite": "5"}, "scripts": {"dev": "bunx --bun vite --port 5210"}}',
        },
        [(5210, True)],
    ),
    'listen localhost obj': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'index.js': "const opts = { host: 'localhost', port: 8211 };\nserver.listen(opts);\n",
        },
        [(8211, True)],
    ),
    'python http and ws': (
        {
            'app.py': 'from fastapi import FastAPI\nimport uvicorn\nif __name__ == "__main__":\n    uvicorn.run(\n        "app:app",\n        host="0.0.0.0",\n        port=int(os.environ["PORT"]) if "PORT" in os.environ else 8212,\n        log_level="info",\n    )\n',
        },
        [(8212, True)],
    ),
    'click option': (
        {
            'app.py': "import uvicorn, click\nfrom fastapi import FastAPI\n@click.option('--port', default=8213)\ndef main(port):\n    uvicorn.run(app, port=port)\n",
        },
        [(8213, True)],
    ),
    'typer': (
        {
            'app.py': "import uvicorn, typer\nfrom fastapi import FastAPI\ndef main(host: str = '0.0.0.0', port: int = 8214):\n    uvicorn.run(app, host=host, port=port)\n",
        },
        [(8214, True)],
    ),
    'pg pool field': (
        {
            'package.json': '{"dependencies": {"ws": "1", "pg": "1"}, "scripts": {}}',
            'server.js': 'const db = new Pool({ port: 5432 });\nconst port = process.env.PORT;\nserver.listen(port);\n',
        },
        [(3000, False)],
    ),
    'redis const': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {}}',
            'server.js': 'const redis = createClient({ socket: { port: 6379 } });\nhttpServer.listen(process.env.PORT || 3300);\n',
        },
        [(3300, True)],
    ),
    'dotted db': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {}}',
            'server.js': 'server.listen(config.port)\n',
            'config.js': 'module.exports={ db: { port: 5432 }, port: 3301 }\n',
        },
        [(3301, True)],
    ),
    'settings db': (
        {
            'requirements.txt': 'fastapi\n',
            'main.py': 'import uvicorn\nfrom fastapi import FastAPI\nuvicorn.run(app, port=settings.api_port)\n',
            'settings.py': 'class S:\n    db_port: int = 5432\n    api_port: int = 8301\n',
        },
        [(8301, True)],
    ),
    'metrics server': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {"start": "node server.js"}}',
            'server.js': 'metrics.listen(9464);\nconst wss = new WebSocketServer({ port: 8302 });\n',
        },
        [(8302, True)],
    ),
    'client code': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {}}',
            'server.js': 'server.listen(3303)',
            'client.js': "const s = io('http://localhost:9999')",
        },
        [(3303, True)],
    ),
    'test server': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'src/server.ts': 'server.listen(3304)',
            'src/__tests__/a.ts': 'server.listen(1)',
            'src/server.test.ts': 'server.listen(9)',
        },
        [(3304, True)],
    ),
    'timeout num': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'server.js': 'server.setTimeout(30000); server.listen(PORT, () => console.log(3000)); const PORT = 3305;',
        },
        [(3305, True)],
    ),
    'ping 30000': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'server.js': 'const wss = new WebSocketServer({ server, maxPayload: 4096 });\nserver.listen(3306);',
        },
        [(3306, True)],
    ),
    'io opts pingTimeout': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {}}',
            'server.js': "const io = new Server(httpServer, { pingTimeout: 60000, cors: { origin: 'http://localhost:5173' } });\nhttpServer.listen(3307);",
        },
        [(3307, True)],
    ),
    'io opts only cors': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {}}',
            'server.js': "const io = new Server(httpServer, { cors: { origin: 'http://localhost:5173' } });\nhttpServer.listen(process.env.PORT);",
        },
        [(3000, False)],
    ),
    'uvicorn ws_ping': (
        {
            'main.py': 'import uvicorn\nfrom fastapi import FastAPI\nuvicorn.run(app, ws_ping_interval=300, ws_max_size=16777)\n',
        },
        [(8000, False)],
    ),
    'serve max_size': (
        {
            's.py': "import websockets\nwebsockets.serve(h, 'localhost', 8308, max_size=2000, ping_interval=120)\n",
        },
        [(8308, True)],
    ),
    'serve handler only': (
        {
            's.py': "import websockets\nwebsockets.serve(h, host, port)\nhost='a'\nport=8309\n",
        },
        [(8309, True)],
    ),
    'tornado nothing': (
        {
            's.py': 'import tornado.web\napp.listen(options.port)\nparse_command_line()\n',
        },
        [(8888, False)],
    ),
    'aiohttp client only': (
        {
            'requirements.txt': 'aiohttp\n',
            's.py': 'import aiohttp\nasync with aiohttp.ClientSession() as s: pass\n',
        },
        [],
    ),
    'websockets client only': (
        {
            'requirements.txt': 'websockets\n',
            's.py': "import websockets\nasync with websockets.connect('ws://localhost:9000') as ws: pass\n",
        },
        [],
    ),
    'ws client only': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            's.js': "const ws = new WebSocket('ws://localhost:9000')\n",
        },
        [],
    ),
    'socket.io-client': (
        {
            'package.json': '{"dependencies": {"socket.io-client": "1", "react": "1"}, "scripts": {}}',
            'src/a.js': "io('http://localhost:9000')\n",
        },
        [],
    ),
    'fastapi app + mongo': (
        {
            'requirements.txt': 'fastapi\n',
            'docker-compose.yml': "services:\n  mongo:\n    ports:\n      - '27017:27017'\n  redis:\n    ports: ['6380:6379']\n  web:\n    build: .\n    ports:\n      - '8310:80'\n",
        },
        [(8310, False)],
    ),
    'compose vite': (
        {
            'package.json': '{"dependencies": {"vite": "1"}, "scripts": {}}',
            'docker-compose.yml': "services:\n  web:\n    command: npm run dev -- --port 5311\n    ports: ['15311:5311']\n",
        },
        [(15311, False)],
    ),
    'gunicorn workers': (
        {
            'requirements.txt': 'fastapi\n',
            'Procfile': 'web: gunicorn app:app -w 4 --timeout 120 -k uvicorn.workers.UvicornWorker\n',
        },
        [(8000, False)],
    ),
    'daphne -v': (
        {
            'requirements.txt': 'channels\ndaphne\n',
            'Procfile': 'web: daphne -v 2 --proxy-headers proj.asgi:application\n',
        },
        [(8000, False)],
    ),
    'rails docker 3000': (
        {
            'Gemfile': "gem 'rails'\n",
            'docker-compose.yml': "services:\n  web:\n    command: bash -c 'rm -f tmp/pids/server.pid && bundle exec rails s -p 3000 -b 0.0.0.0'\n    ports:\n      - '3312:3000'\n",
        },
        [(3312, True)],
    ),
    'phoenix comment': (
        {
            'mix.exs': '{:phoenix, "1"}',
            'config/dev.exs': 'config :a, AWeb.Endpoint,\n  # http: [port: 1234],\n  http: [ip: {127, 0, 0, 1}, port: 4313]\n# https: [port: 4001]\n',
        },
        [(4313, True)],
    ),
    'phoenix repo port': (
        {
            'mix.exs': '{:phoenix, "1"}',
            'config/dev.exs': 'config :a, A.Repo, hostname: "localhost", port: 5432\nconfig :a, AWeb.Endpoint,\n  http: [ip: {127, 0, 0, 1}, port: 4314]\n',
        },
        [(4314, True)],
    ),
    'streamlit browser port': (
        {
            'requirements.txt': 'streamlit\n',
            '.streamlit/config.toml': '[browser]\nserverPort = 443\n[server]\nheadless = true\nport=8615\n',
        },
        [(8615, True)],
    ),
    'streamlit other section': (
        {
            'requirements.txt': 'streamlit\n',
            '.streamlit/config.toml': '[db]\nport = 5432\n[server]\nport = 8616\n',
        },
        [(8616, True)],
    ),
    'jupyter base_url': (
        {
            'requirements.txt': 'jupyterlab\n',
            'jupyter_server_config.py': "c.ServerApp.base_url='/x'\nc.ServerApp.port_retries = 50\nc.ServerApp.port=8817\n",
        },
        [(8817, True)],
    ),
    'gradio queue nl': (
        {
            'app.py': 'import gradio as gr\n(\n gr.Blocks()\n .queue()\n .launch(server_port=7918, share=False)\n)\n',
        },
        [(7918, True)],
    ),
    'flask-socketio kw': (
        {
            'app.py': "from flask import Flask\nfrom flask_socketio import SocketIO\nio = SocketIO(app, cors_allowed_origins='*')\nio.run(app, host='0.0.0.0', port=5219, allow_unsafe_werkzeug=True)\n",
        },
        [(5219, True)],
    ),
    'flask-socketio app.config': (
        {
            'app.py': "from flask_socketio import SocketIO\napp.config['PORT'] = 5220\nsocketio = SocketIO(app)\nsocketio.run(app, port=app.config['PORT'])\n",
        },
        [(5220, True)],
    ),
    'channels runserver_plus': (
        {
            'requirements.txt': 'channels\n',
            'Makefile': 'dev:\n\tpython manage.py runserver_plus 0.0.0.0:8321\n',
        },
        [(8321, True)],
    ),
    'hypercorn -b': (
        {
            'requirements.txt': 'quart\nhypercorn\n',
            'Procfile': "web: hypercorn -w 2 -b '0.0.0.0:8322' app:app\n",
        },
        [(8322, True)],
    ),
    'nest globalprefix': (
        {
            'package.json': '{"dependencies": {"@nestjs/core": "1", "@nestjs/platform-ws": "1"}, "scripts": {}}',
            'src/main.ts': "const PORT = process.env.APP_PORT || 3323;\nawait app.listen(PORT, '0.0.0.0');\n",
        },
        [(3323, True)],
    ),
    'nest .env APP_PORT': (
        {
            'package.json': '{"dependencies": {"@nestjs/core": "1"}, "scripts": {}}',
            '.env': 'APP_PORT=3324\nDB_PORT=5432\n',
            'src/main.ts': "await app.listen(configService.get<number>('APP_PORT'));\n",
        },
        [(3324, True)],
    ),
    '.env db only': (
        {
            'requirements.txt': 'fastapi\n',
            '.env': 'DB_PORT=5432\nREDIS_PORT=6379\n',
        },
        [(8000, False)],
    ),
    'next env': (
        {
            'package.json': '{"dependencies": {"next": "1"}, "scripts": {"dev": "next dev", "start": "PORT=3325 next start"}}',
        },
        [(3325, True)],
    ),
    'next -H': (
        {
            'package.json': '{"dependencies": {"next": "1"}, "scripts": {"start": "next start -H 0.0.0.0 -p ${PORT:-3326}"}}',
        },
        [(3326, True)],
    ),
    'vite env': (
        {
            'package.json': '{"dependencies": {"vite": "1"}, "scripts": {}}',
            'vite.config.ts': 'const env = loadEnv(mode, process.cwd());\nexport default { server: { port: parseInt(env.VITE_PORT) } }\n',
            '.env': 'VITE_PORT=5327\n',
        },
        [(5327, True)],
    ),
    'deno std': (
        {
            'deno.json': '{}',
            'main.ts': "import { serve } from 'https://deno.land/std/http/server.ts';\nserve(handler, { port: 8328 });\n",
        },
        [(8328, True)],
    ),
    'deno env let': (
        {
            'deno.json': '{}',
            'main.ts': "const port = parseInt(Deno.env.get('PORT') ?? '8329');\nDeno.serve({ port }, handler);\n",
        },
        [(8329, True)],
    ),
    'deno options second': (
        {
            'deno.json': '{}',
            'main.ts': "Deno.serve({ hostname: '127.0.0.1', port: 8330, onListen() {} }, (req) => { const { socket, response } = Deno.upgradeWebSocket(req); return response; });\n",
        },
        [(8330, True)],
    ),
    'bun websocket': (
        {
            'package.json': '{"scripts": {"start": "bun server.ts"}}',
            'server.ts': 'const server = Bun.serve<{a: string}>({ fetch(req, s) {}, websocket: {}, port: 3331 });\n',
        },
        [(3331, True)],
    ),
    'ts generics listen': (
        {
            'package.json': '{"dependencies": {"socket.io": "1"}, "scripts": {}}',
            'src/index.ts': 'const io = new Server<A, B>(httpServer, {});\nhttpServer.listen(3332 as number);\n',
        },
        [(3332, True)],
    ),
    'docker cmd shell var': (
        {
            'requirements.txt': 'fastapi\n',
            'Dockerfile': 'ENV PORT 8333\nCMD exec uvicorn main:app --host 0.0.0.0 --port ${PORT}\n',
        },
        [(8333, True)],
    ),
    'docker json sh -c': (
        {
            'requirements.txt': 'fastapi\n',
            'Dockerfile': 'CMD ["sh", "-c", "uvicorn main:app --host 0.0.0.0 --port ${PORT:-8334}"]\n',
        },
        [(8334, True)],
    ),
    'heroku procs': (
        {
            'requirements.txt': 'fastapi\nuvicorn\n',
            'Procfile': 'web: uvicorn main:app --host=0.0.0.0 --port=${PORT:-5335}\n',
        },
        [(5335, True)],
    ),
    'two procs same fw node': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'Procfile': 'web: node web.js\nws: node ws.js\n',
            'web.js': 'app.listen(3336)',
            'ws.js': 'new WebSocketServer({port:3337})',
        },
        [(3336, True), (3337, True)],
    ),
    'proc node + python': (
        {
            'package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'requirements.txt': 'fastapi\n',
            'Procfile': 'ws: node ws.js\napi: uvicorn m:a --port 8338\n',
            'ws.js': 'new WebSocketServer({port:3338})',
        },
        [(8338, True), (3338, True)],
    ),
    'services dir': (
        {
            'services/chat/package.json': '{"dependencies": {"ws": "1"}, "scripts": {}}',
            'services/chat/index.js': 'new WebSocketServer({port:3339})',
            'services/api/pyproject.toml': '[project]\nname="a"\nversion="1"\ndependencies=["fastapi"]\n',
            'services/api/Dockerfile': 'CMD ["uvicorn","a:b","--port","8339"]\n',
        },
        [(8339, True), (3339, True)],
    ),
    'yaml cmd list': (
        {
            'requirements.txt': 'fastapi\n',
            'docker-compose.yml': "services:\n  web:\n    command:\n      - uvicorn\n      - a:b\n      - --port\n      - '8341'\n",
        },
        [(8341, True)],
    ),
    'poetry run': (
        {
            'pyproject.toml': '[tool.poetry.dependencies]\nfastapi="*"\n',
            'Makefile': 'PORT ?= 8342\nrun:\n\tpoetry run uvicorn a:b --port $(PORT)\n',
        },
        [(8342, True)],
    ),
    'reload flag': (
        {
            'requirements.txt': 'fastapi\n',
            'start.sh': '#!/bin/sh\nPORT=8343\nuvicorn a:b --reload --port "$PORT"\n',
        },
        [(8343, True)],
    ),
    'port in quotes': (
        {
            'requirements.txt': 'fastapi\n',
            'start.sh': "uvicorn a:b --port '8344'\n",
        },
        [(8344, True)],
    ),
}
# fmt: on


def made(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize("name", PROJECTS)
def test_a_port_is_right_or_a_guess(name: str, tmp_path: Path) -> None:
    files, ports = PROJECTS[name]
    assert [(each.port, each.sure) for each in find(Folder(made(tmp_path, files)))] == ports


UNKNOWN: dict[str, tuple[Files, str, int]] = {
    "Go": ({"go.mod": "module x\n", "main.go": 'http.ListenAndServe(":8173", nil)\n'}, "a program in Go", 8173),
    "Rust": ({"Cargo.toml": "", "src/main.rs": 'TcpListener::bind("0.0.0.0:8174").await?'}, "a program in Rust", 8174),
    "Spring": (
        {"pom.xml": "", "src/main/resources/application.properties": "server.port=8099\n"},
        "a program in Java or Kotlin",
        8099,
    ),
    "only a container": ({"Dockerfile": "FROM x\nEXPOSE 8175\n"}, "a program of a kind that is not known here", 8175),
    "a Go program in a container": ({"go.mod": "", "Dockerfile": "EXPOSE 8176\n"}, "a program in Go", 8176),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_program_that_is_not_known_is_guessed_at(name: str, tmp_path: Path) -> None:
    files, title, port = UNKNOWN[name]
    (found,) = find(Folder(made(tmp_path, files)))
    assert (found.framework.title, found.port, found.sure) == (title, port, False)
    assert found.port_from.startswith("a guess: ")


def test_a_language_is_named_where_nothing_says_a_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, {"go.mod": "module x\n", "main.go": "package main\n"})
    assert init.run([str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "go.mod says that this is a program in Go, and nothing here says at which port it listens" in said
    assert "penstock proxy --to localhost:PORT --print" in said
