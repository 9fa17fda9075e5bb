import MQLock
import Testing

@Suite("Control messages")
struct ControlMessageTests {
    static let question = "0123456789abcdef0123456789abcdef"
    static let session = "fedcba9876543210fedcba9876543210"

    static func contender(_ change: (inout LockContender) -> Void = { _ in }) -> LockContender {
        var contender = LockContender(
            role: .holder, session: session, owner: "web-1/4711", host: "web-1", process: 4711, mutex: "sac",
            duration: .milliseconds(1500), since: 1_795_000_000_000, fencingToken: FencingToken(rawValue: 96),
            connection: "mqlock web-1/4711 locks \(session)")
        change(&contender)
        return contender
    }

    private static let here = """
        mqlock.v1 here \(question)
        age 1500
        connection mqlock web-1/4711 locks \(session)
        fence 96
        host web-1
        mutex sac
        owner web-1/4711
        process 4711
        role holder
        session \(session)
        since 1795000000000

        """

    @Test(
        "the bytes of requests",
        arguments: [
            (ControlRequest.who, "mqlock.v1 who \(question)\n"),
            (.hello, "mqlock.v1 hello \(question)\n"),
            (.watch(seconds: 15), "mqlock.v1 watch \(question)\nseconds 15\n"),
            (.yield(FencingToken(rawValue: 96)!), "mqlock.v1 yield \(question)\nfence 96\n"),
            (.list(after: nil), "mqlock.v1 list \(question)\n"),
            (.list(after: "a\nb"), "mqlock.v1 list \(question)\nafter a%0Ab\n"),
        ])
    func requests(request: ControlRequest, bytes: String) throws {
        #expect(request.text(Self.question).payload == Array(bytes.utf8))
        let text = try #require(ControlText(payload: Array(bytes.utf8)))
        #expect(text.question == Self.question)
        #expect(ControlRequest(text) == request)
        #expect(ControlAnswer(text) == nil)
    }

    @Test("the bytes of answers")
    func answers() throws {
        let holder = Self.contender()
        let waiter = Self.contender {
            $0.role = .waiter
            $0.fencingToken = nil
            $0.place = 2
        }
        let answers: [(ControlAnswer, String)] = [
            (.here(holder), Self.here),
            (.yielding(holder), Self.here.replacing("here", with: "yielding", maxReplacements: 1)),
            (
                .here(waiter),
                Self.here.replacing("holder", with: "waiter").replacing("fence 96\n", with: "")
                    .replacing("owner web-1/4711\n", with: "owner web-1/4711\nplace 2\n")
            ),
            (
                .changed(LockChange(.lost, holder, reason: "a\nb%")),
                Self.here.replacing("here", with: "changed", maxReplacements: 1)
                    .replacing("age 1500\n", with: "age 1500\nchange lost\n")
                    .replacing("role holder\n", with: "reason a%0Ab%25\nrole holder\n")
            ),
            (
                .listed("a\nb", holder),
                Self.here.replacing("here", with: "listed", maxReplacements: 1)
                    .replacing("mutex sac\n", with: "mutex sac\nname a%0Ab\n")
            ),
            (
                .refused(session: Self.session, reason: "no"),
                "mqlock.v1 refused \(Self.question)\nreason no\nsession \(Self.session)\n"
            ),
        ]
        for (answer, bytes) in answers {
            #expect(String(decoding: answer.text(Self.question).payload, as: UTF8.self) == bytes)
            let text = try #require(ControlText(payload: Array(bytes.utf8)))
            #expect(ControlAnswer(text) == answer)
            #expect(ControlRequest(text) == nil)
        }
    }

    @Test("who has said it is for the broker to know, and never in the text")
    func users() throws {
        let bytes = Self.here + "user root\n"
        let text = try #require(ControlText(payload: Array(bytes.utf8)))
        let answer = try #require(ControlAnswer(text))
        #expect(answer == .here(Self.contender()))
        let said = Self.contender { $0.user = "guest" }
        #expect(answer.said(by: "guest") == .here(said))
        #expect(ControlAnswer.here(said).said(by: nil) == answer)
        #expect(answer.said(by: "guest").text(Self.question) == answer.text(Self.question))
        #expect(ControlAnswer.listed("job", Self.contender()).said(by: "guest") == .listed("job", said))
        #expect(ControlAnswer.yielding(Self.contender()).said(by: "guest") == .yielding(said))
        let refused = ControlAnswer.refused(session: Self.session, reason: "")
        #expect(refused.said(by: "guest") == .refused(session: Self.session, reason: "", user: "guest"))
    }

    @Test("an unknown field is skipped, for a later version to use")
    func laterFields() throws {
        let bytes = Self.here + "zebra stripes\n"
        let text = try #require(ControlText(payload: Array(bytes.utf8)))
        #expect(ControlAnswer(text) == .here(Self.contender()))
    }

    @Test(
        "texts that are none",
        arguments: [
            "", "\n", "mqlock.v1 who \(question)", "mqlock.v2 who \(question)\n", "mqlock.v1  who \(question)\n",
            "mqlock.v1 who \(question) \n", "mqlock.v1 WHO \(question)\n", "mqlock.v1 who \(question.dropLast())\n",
            "mqlock.v1 who \(question.uppercased())\n", "mqlock.v1 who \(question)\r\n",
            "mqlock.v1 who \(question)\nkey\n", "mqlock.v1 who \(question)\n key\n",
            "mqlock.v1 who \(question)\nkey a\nkey a\n", "mqlock.v1 who \(question)\nkey a%\n",
            "mqlock.v1 who \(question)\nkey a%0a\n", "mqlock.v1 who \(question)\nkey %41\n",
            "mqlock.v1 who \(question)\nkey a\r\n", "mqlock.v1 who \(question)\nkey \u{0}\n",
            "mqlock.v1 who \(question)\n\n", "mqlock.v1 who \(question)\nkey %FF\n",
            "mqlock.v1 who \(question)\nkey " + String(repeating: "x", count: 1025) + "\n",
            "mqlock.v1 who \(question)\n"
                + (0..<33).map { "k" + String(repeating: "a", count: $0 % 15) + ($0 < 15 ? "" : "b") + " v\n" }.joined(),
            "mqlock.v1 who \(question)\n" + String(repeating: "x", count: 9000) + "\n",
        ])
    func refusedTexts(_ text: String) {
        #expect(ControlText(payload: Array(text.utf8)) == nil)
    }

    @Test("bytes that are no text")
    func noText() {
        #expect(ControlText(payload: [0xFF, 0xFE, 0x0A]) == nil)
        #expect(ControlText(payload: Array("mqlock.v1 who \(Self.question)\nkey ".utf8) + [0xC3, 0x0A]) == nil)
    }

    @Test(
        "requests that are none",
        arguments: [
            "watch", "watch\nseconds 0", "watch\nseconds 61", "watch\nseconds -1", "watch\nseconds 015",
            "watch\nseconds +5", "watch\nseconds 99999999999999999999", "yield", "yield\nfence -1", "yield\nfence x",
            "yield\nfence 9223372036854775808", "steal",
        ])
    func refusedRequests(_ request: String) throws {
        let words = request.split(separator: "\n")
        let body = "mqlock.v1 \(words[0]) \(Self.question)\n" + words.dropFirst().map { "\($0)\n" }.joined()
        let text = try #require(ControlText(payload: Array(body.utf8)))
        #expect(ControlRequest(text) == nil)
    }

    @Test("an answer with any line missing, or any of these in its place, is none")
    func refusedAnswers() throws {
        let lines = Self.here.split(separator: "\n").map(String.init)
        for index in 1..<lines.count {
            var rest = lines
            rest.remove(at: index)
            let bytes = Array((rest.joined(separator: "\n") + "\n").utf8)
            let text = try #require(ControlText(payload: bytes))
            #expect(ControlAnswer(text) == nil, "without \(lines[index])")
        }
        for line in [
            "role boss", "role ", "session x", "process -1", "process 4294967296", "age -1", "age 99999999999999999",
            "since x", "fence 9223372036854775808", "fence ", "place x",
        ] {
            let key = line.split(separator: " ")[0]
            let rest = lines.filter { !$0.hasPrefix("\(key) ") } + [line]
            let bytes = Array((rest.joined(separator: "\n") + "\n").utf8)
            let text = try #require(ControlText(payload: bytes))
            #expect(ControlAnswer(text) == nil, "\(line)")
        }
    }

    @Test("whatever an owner calls itself arrives within bounds")
    func owners() throws {
        let scalars: [String] = ["a", "é", "😀", "\n", "%", "\u{202E}", "\u{0}", " ", "\r\n"]
        for scalar in scalars {
            for count in [0, 1, 200, 5000] {
                let owner = String(repeating: scalar, count: count)
                let contender = Self.contender {
                    $0.owner = owner
                    $0.host = owner
                    $0.mutex = owner
                    $0.connection = owner
                }
                let change = LockChange(.lost, contender, reason: owner)
                let payload = ControlAnswer.changed(change).text(Self.question).payload
                #expect(payload.count <= ControlText.maximumLength)
                let text = try #require(ControlText(payload: payload))
                guard case .changed(let read)? = ControlAnswer(text) else {
                    Issue.record("not read: \(count) of \(scalar.escapedForDisplay)")
                    continue
                }
                #expect(Array(owner.utf8).starts(with: Array(read.contender.owner.utf8)))
                if count <= 1 { #expect(read == change) }
            }
        }
    }
}
