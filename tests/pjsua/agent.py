"""A SIP phone on PJSIP for the tests: answers every call, says a WAV file, records what it hears.

Usage: agent.py HOST:PORT VOICE.wav HEARD.wav OPTIONS, the last a JSON object: "srtp" (0, 1 optional, 2 required),
"rel100" (0, 1 required, 2 as asked), "ring" (seconds before the answer), "codec" (preferred, e.g. "G722").
Commands come on standard input, one a line: hangup, hold, resume, update, transfer URI. Events go to standard output as
JSON lines.
"""

import json
import queue
import sys
import threading
import time

import pjsua2 as pj

ADDRESS, VOICE, HEARD, OPTIONS = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
calls = {}
# When whom to answer, and what was commanded. PJSIP is touched by one thread alone: a second one, and Python's lock between
# them, would wait for each other.
due = []
over = []
commands = queue.Queue()


def tell(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


class Call(pj.Call):
    def __init__(self, account, call_id):
        super().__init__(account, call_id)
        self.player = pj.AudioMediaPlayer()
        self.recorder = pj.AudioMediaRecorder()
        self.connected = False

    def onCallState(self, prm):
        info = self.getInfo()
        tell("state", state=info.stateText, status=info.lastStatusCode)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            over.append(info.id)

    def onCallMediaState(self, prm):
        # What it says of its media lives no longer than it.
        info = self.getInfo()
        for index, media in enumerate(info.media):
            tell("media", status=media.status, direction=media.dir)
            if media.type != pj.PJMEDIA_TYPE_AUDIO or media.status != pj.PJSUA_CALL_MEDIA_ACTIVE:
                continue
            audio = self.getAudioMedia(index)
            if not self.connected:
                self.connected = True
                self.player.createPlayer(VOICE)
                self.recorder.createRecorder(HEARD)
            self.player.startTransmit(audio)
            audio.startTransmit(self.recorder)
            stream = self.getStreamInfo(index)
            tell("codec", name=stream.codecName, srtp=str(self.getMedTransportInfo(index).localRtpName))

    def onCallTransferStatus(self, prm):
        tell("transfer", status=prm.statusCode, final=bool(prm.finalNotify))

    def onCallTransferRequest(self, prm):
        tell("transferred", to=prm.dstUri)


class Account(pj.Account):
    def onIncomingCall(self, prm):
        call = Call(self, prm.callId)
        calls[prm.callId] = call
        tell("incoming", remote=call.getInfo().remoteUri)
        answer = pj.CallOpParam()
        answer.statusCode = 180
        call.answer(answer)
        due.append((time.monotonic() + OPTIONS.get("ring", 0.3), call))


def answer_who_is_due():
    for entry in [entry for entry in due if entry[0] <= time.monotonic()]:
        due.remove(entry)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        entry[1].answer(answer)


def read():
    for line in sys.stdin:
        commands.put(line)
    commands.put(None)


def obey(line):
    word, _, rest = line.strip().partition(" ")
    for call in list(calls.values()):
        param = pj.CallOpParam(True)
        if word == "hangup":
            call.hangup(param)
        elif word == "hold":
            call.setHold(param)
        elif word == "resume":
            param.opt.flag = pj.PJSUA_CALL_UNHOLD
            call.reinvite(param)
        elif word == "update":
            call.update(param)
        elif word == "transfer":
            call.xfer(rest, param)


def main():
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 0
    config.logConfig.filename = HEARD + ".log"
    config.logConfig.level = 5
    config.uaConfig.threadCnt, config.uaConfig.mainThreadOnly = 0, True
    config.medConfig.clockRate = 8000
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    endpoint.libInit(config)
    host, port = ADDRESS.rsplit(":", 1)
    for kind in (pj.PJSIP_TRANSPORT_UDP, pj.PJSIP_TRANSPORT_TCP):
        transport = pj.TransportConfig()
        transport.port, transport.boundAddress = int(port), host
        endpoint.transportCreate(kind, transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    if "codec" in OPTIONS:
        for codec in endpoint.codecEnum2():
            endpoint.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith(OPTIONS["codec"]) else 0)
    settings = pj.AccountConfig()
    settings.idUri = f"sip:agent@{ADDRESS}"
    settings.mediaConfig.transportConfig.boundAddress = host
    settings.mediaConfig.srtpUse = OPTIONS.get("srtp", 0)
    settings.mediaConfig.srtpSecureSignaling = 0
    settings.callConfig.prackUse = OPTIONS.get("rel100", 0)
    account = Account()
    account.create(settings)
    tell("ready")
    threading.Thread(target=read, daemon=True).start()
    while True:
        endpoint.libHandleEvents(20)
        while over:
            calls.pop(over.pop(), None)
            tell("gone")
        try:
            answer_who_is_due()
            line = commands.get_nowait() if not commands.empty() else ""
            if line is None:
                break
            obey(line)
        except pj.Error as error:
            tell("error", text=error.info())
    endpoint.libDestroy()


main()
