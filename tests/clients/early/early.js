// URL VERSION SIZE...: posts a body of each size, and prints the statuses in one line.
"use strict"
const http2 = require("http2")
const https = require("https")
const [url, version, ...sizes] = process.argv.slice(2)

function overHTTP1(size) {
  return new Promise(done => {
    const options = {method: "POST", rejectUnauthorized: false, headers: {"content-length": size}}
    const request = https.request(url, options, response => {
      response.on("end", () => done(response.statusCode)).resume()
    })
    request.on("error", done).end(Buffer.alloc(size))
  })
}

function overHTTP2(size) {
  return new Promise(done => {
    const session = http2.connect(url, {rejectUnauthorized: false})
    session.on("error", done)
    const stream = session.request({":method": "POST"})
    let status = "none"
    stream.on("response", headers => { status = headers[":status"] })
    stream.on("error", done).on("close", () => { session.close(); done(status) })
    stream.resume().end(Buffer.alloc(size))
  })
}

async function main() {
  const statuses = []
  for (const size of sizes) statuses.push(await (version === "2" ? overHTTP2 : overHTTP1)(Number(size)))
  console.log(statuses.join(" "))
}

main()
