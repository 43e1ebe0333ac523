// One call between two peers in Chromium, through relays only: node browser.cjs MODULES CHROMIUM < JSON. The words:
// {"urls", "username", "credential", "messages"}; answers with one line of JSON, see `call`.
'use strict';
const { readFileSync } = require('node:fs');
const [modules, executablePath] = process.argv.slice(2);
const { chromium } = require(`${modules}/playwright-core`);

const ARGUMENTS = [
  '--no-sandbox',
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
];

// In the page: echoes of all messages, frames decoded by the other side, candidate types of both nominated pairs.
async function call({ urls, username, credential, messages }) {
  const settings = { iceServers: [{ urls, username, credential }], iceTransportPolicy: 'relay' };
  const one = new RTCPeerConnection(settings);
  const other = new RTCPeerConnection(settings);
  const types = new Set();
  for (const [from, to] of [[one, other], [other, one]]) {
    from.onicecandidate = ({ candidate }) => {
      if (candidate && candidate.candidate) {
        types.add(candidate.type);
        to.addIceCandidate(candidate);
      }
    };
  }
  other.ondatachannel = ({ channel }) => { channel.onmessage = ({ data }) => channel.send(data); };
  const video = document.createElement('video');
  video.muted = true;
  other.ontrack = ({ streams }) => { video.srcObject = streams[0]; video.play(); };

  const stream = await navigator.mediaDevices.getUserMedia({ video: true });
  stream.getTracks().forEach((track) => one.addTrack(track, stream));
  const channel = one.createDataChannel('echo');
  const echoes = [];
  const done = new Promise((resolve, reject) => {
    channel.onopen = () => { for (let number = 0; number < messages; number += 1) channel.send(`message ${number}`); };
    channel.onmessage = ({ data }) => { if (echoes.push(data) === messages) resolve(); };
    channel.onerror = ({ error }) => reject(error);
  });

  await one.setLocalDescription(await one.createOffer());
  await other.setRemoteDescription(one.localDescription);
  await other.setLocalDescription(await other.createAnswer());
  await one.setRemoteDescription(other.localDescription);
  await done;

  const found = async (peer, type) => [...(await peer.getStats()).values()].filter((each) => each.type === type);
  const decoded = async () => (await found(other, 'inbound-rtp')).reduce((sum, each) => sum + (each.framesDecoded || 0), 0);
  while (await decoded() < 10) await new Promise((resolve) => setTimeout(resolve, 50));

  const pair = async (peer) => {
    const report = await peer.getStats();
    const [transport] = await found(peer, 'transport');
    const { localCandidateId, remoteCandidateId } = report.get(transport.selectedCandidatePairId);
    const local = report.get(localCandidateId);
    return { local: local.candidateType, remote: report.get(remoteCandidateId).candidateType, by: local.relayProtocol };
  };
  const answer = {
    echoes, frames: await decoded(), width: video.videoWidth, gathered: [...types], pairs: [await pair(one), await pair(other)],
  };
  one.close();
  other.close();
  return answer;
}

(async () => {
  const browser = await chromium.launch({ executablePath, args: ARGUMENTS });
  try {
    // getUserMedia wants an origin that counts as secure.
    const page = await browser.newPage();
    await page.route('https://corelet.test/', (route) => route.fulfill({ contentType: 'text/html', body: '<html></html>' }));
    await page.goto('https://corelet.test/');
    console.log(JSON.stringify(await page.evaluate(call, JSON.parse(readFileSync(0, 'utf8')))));
  } finally {
    await browser.close();
  }
})().catch((error) => { console.error(error); process.exit(1); });
