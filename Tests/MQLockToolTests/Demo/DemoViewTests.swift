import MQLock
import MQLockTesting
import Testing

@testable import MQLockTool

@Suite("Demo view") struct DemoViewTests {
    private let second = UInt64(1_000_000_000)

    private func event(_ at: UInt64, _ process: String, _ kind: History.Kind) -> History.Event {
        History.Event(at: at, process: process, contender: "loop", name: "n", kind: kind)
    }

    @Test func showsWhoHoldsAndWhoWaits() {
        var view = DemoView(startedAt: second)
        for id in ["w1", "w2", "w3", "w4"] { view.add(id) }
        #expect(view.take(event(second, "w1", .waiting)) == nil)
        view.take(event(second, "w2", .waiting))
        let line = view.take(event(3 * second, "w1", .granted(token: 7)))
        #expect(line.map(view.text) == "  2.000 s    w1 holds, token 7, waited 2.0 s")
        view.take(event(3 * second, "w1", .processStopped))
        view.take(event(3 * second, "w3", .processDied))
        view.ended("w3")
        let screen = view.screen(now: 4 * second, lock: "n\u{1b}").map(\.text)
        #expect(
            screen.prefix(5) == [
                "mqlock demo: lock n\\u{1b}, 3.000 s", "  w1    HOLDS, token 7, stopped", "  w2    waits 3.0 s",
                "  w3    killed", "  w4    connecting",
            ])
        #expect(screen.last == "  2.000 s    w1 holds, token 7, waited 2.0 s")
    }

    @Test func lossIsReportedWithItsReason() {
        var view = DemoView(startedAt: 0)
        view.add("w1")
        let lost = History.Kind.ended(cause: .lost("proof\u{1b}"), validUntil: 1)
        #expect(view.take(event(1, "w1", lost))?.text == "w1 notices that it lost the lock: proof\\u{1b}")
        #expect(view.take(event(2, "w1", .ended(cause: .released, validUntil: 2))) == nil)
        #expect(view.take(event(3, "w1", .wrote(token: 1, accepted: false, resource: "r")))?.tone == .bad)
    }

    @Test func keepsAFewLinesAndDropsThoseLongDead() {
        var view = DemoView(startedAt: 0)
        for number in 1...100 {
            view.add("w\(number)")
            if number < 98 { view.take(event(1, "w\(number)", .processDied)) }
            _ = view.say("line \(number)", at: 1)
        }
        let screen = view.screen(now: 1, lock: "n")
        #expect(screen.count < 20)
        #expect(screen.contains { $0.text.contains("w100") })
        #expect(screen.last?.text.contains("line 100") == true)
    }
}

@Suite("Demo options and messages") struct DemoOptionsTests {
    private func parse(_ arguments: [String]) throws -> DemoOptions {
        try DemoOptions(try ArgumentReader.read(arguments, .demo))
    }

    @Test func options() throws {
        #expect(try parse([]) == DemoOptions())
        let options = try parse(["--rounds", "7", "--workers=9", "--lock", "x", "--json", "--sabotage"])
        #expect(options.rounds == 7)
        #expect(options.workers == 9)
        #expect(options.lock == "x")
        #expect(options.isJSON)
        #expect(options.isSabotage)
    }

    @Test(arguments: [
        ["--rounds"], ["--rounds", "0"], ["--rounds", "x"], ["--workers", "1"], ["--workers", "65"], ["--lock", ""],
        ["--lock", String(repeating: "x", count: 201)], ["--bogus"], ["x"], ["--json=1"], ["--sabotage=1"],
    ]) func badOptions(_ arguments: [String]) {
        let failure = #expect(throws: CommandFailure.self) { try parse(arguments) }
        #expect(failure?.status == 64)
    }

    @Test func messagesComeBackAsTheyWere() {
        let notes: [DemoNote] = [
            .mayWrite(token: .max), .failed(code: "unreachable", message: "no\nbroker"),
            .met(DemoMeeting(at: 1, process: "a", other: "b", token: 2)),
        ]
        for note in notes { #expect(DemoMessage(line: note.line) == .note(note)) }
        let event = History.Event(at: 1, process: "a", kind: .processDied)
        #expect(DemoMessage(line: event.line) == .event(event))
        #expect(DemoMessage(line: "{}") == nil)
        #expect(DemoMessage(line: "fatal error") == nil)
    }

    @Test func statusesOfFailures() {
        let statuses: [LockError.Code: Int32] = [
            .unreachable: 69, .accessRefused: 77, .incompatible: 78, .invalidConfiguration: 64, .internalError: 70,
        ]
        for (code, status) in statuses {
            #expect(CommandFailure(code: code.description, message: "").status == status)
        }
    }

    @Test func reportSaysWhatTheFileShowed() {
        let meeting = DemoMeeting(at: 10, process: "b", other: "a", token: 1)
        let good = DemoReport([], [])
        #expect(good.exitStatus == 0)
        let bad = DemoReport([], [meeting])
        #expect(bad.exitStatus == 1)
        #expect(bad.text.contains("b met a"))
        #expect(bad.line.contains(#""verdict":"violated""#))
    }

    @Test func mailbox() async {
        let mailbox = DemoMailbox()
        mailbox.take("go")
        await mailbox.answer()
        async let answered: Void = mailbox.answer()
        mailbox.take("nonsense")
        mailbox.take("quit")
        await answered
        await mailbox.answer()
        #expect(mailbox.hasToQuit)
        await confirmation { called in mailbox.onQuit { called() } }
    }
}
