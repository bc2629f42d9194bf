"use client";
import * as ks from "knownsender";
import { useEffect } from "react";
import fixture from "../fixture.js";
import { show, story } from "../story.js";

export default function Verdict() {
  useEffect(() => void show(async () => {
    await ks.initAsync({ wasmURL: "/knownsender.wasm" });
    return story(ks, fixture, { store: { name: "next" } });
  }), []);
  return <output />;
}
