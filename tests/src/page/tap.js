// Hands every block of its two inputs on, with the time of its first sample.
class Tap extends AudioWorkletProcessor {
  process([heard, said]) {
    this.port.postMessage({ at: currentFrame, heard: heard[0]?.slice(), said: said[0]?.slice() });
    return true;
  }
}
registerProcessor('tap', Tap);
