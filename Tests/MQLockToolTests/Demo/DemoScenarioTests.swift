import MQLockTesting
import Testing

@testable import MQLockTool

@Suite("Demo scenario") struct DemoScenarioTests {
    private func event(_ process: String, _ kind: History.Kind, at: UInt64 = 0) -> History.Event {
        History.Event(at: at, process: process, contender: "loop", name: "n", kind: kind)
    }

    private func wrote(_ process: String, _ token: UInt64, accepted: Bool = true) -> History.Event {
        event(process, .wrote(token: token, accepted: accepted, resource: "r"))
    }

    /// What is done, without what is said.
    private func deeds(_ actions: [DemoScenario.Action]) -> [DemoScenario.Action] {
        actions.filter { if case .say = $0 { false } else { true } }
    }

    private func options(rounds: Int = 1, sabotage: Bool = false) -> DemoOptions {
        var options = DemoOptions()
        options.workers = 2
        options.rounds = rounds
        options.isSabotage = sabotage
        return options
    }

    @Test func oneRound() {
        var scenario = DemoScenario(options())
        #expect(deeds(scenario.asked("a")) == [.answer("a")])
        #expect(scenario.took(wrote("a", 1)) == [])
        #expect(deeds(scenario.asked("b")) == [.answer("b")])
        #expect(scenario.took(wrote("b", 2)) == [])
        #expect(scenario.phase == .killing)

        #expect(deeds(scenario.asked("a")) == [.kill("a")])
        #expect(scenario.took(event("a", .granted(token: 3))) == [])
        #expect(deeds(scenario.took(event("b", .granted(token: 4)))) == [.spawn])
        #expect(deeds(scenario.asked("b")) == [.answer("b")])
        for token in UInt64(4)..<7 { #expect(scenario.took(wrote("b", token)) == []) }
        #expect(scenario.phase == .stopping)

        #expect(deeds(scenario.asked("c")) == [.stop("c")])
        #expect(deeds(scenario.took(event("b", .granted(token: 8)))) == [])
        #expect(deeds(scenario.asked("b")) == [.answer("b")])
        // A refused write of somebody else shows no larger token to the gate.
        #expect(scenario.took(wrote("b", 8, accepted: false)) == [])
        #expect(deeds(scenario.took(wrote("b", 8))) == [.resume("c"), .answerNow("c")])
        #expect(deeds(scenario.took(wrote("c", 7, accepted: false))) == [])
        #expect(scenario.took(event("c", .ended(cause: .lost("proof"), validUntil: 0))) == [])
        #expect(scenario.phase == .calm(left: 2, then: .finish))

        #expect(!scenario.expectsEnd(of: "b"))
        #expect(scenario.took(wrote("b", 9)) == [])
        #expect(scenario.took(wrote("c", 10)) == [.quitAll])
        #expect(scenario.expectsEnd(of: "b"))
        #expect(deeds(scenario.asked("b")) == [.answerNow("b")])
    }

    @Test func roundsFollowEachOther() {
        var scenario = DemoScenario(options(rounds: 2))
        var ends = 0
        for _ in 0..<2 {
            while scenario.phase != .killing { _ = scenario.took(wrote("a", 1)) }
            _ = scenario.asked("a")
            _ = scenario.took(event("b", .granted(token: 1)))
            while scenario.phase != .stopping { _ = scenario.took(wrote("b", 1)) }
            _ = scenario.asked("b")
            _ = scenario.took(wrote("c", 1))
            _ = scenario.took(event("b", .ended(cause: .lost(""), validUntil: 0)))
            ends += 1
        }
        #expect(ends == 2)
        #expect(scenario.phase == .calm(left: 2, then: .finish))
    }

    @Test func sabotageKillsNobody() {
        var scenario = DemoScenario(options(sabotage: true))
        for token in UInt64(1)..<4 {
            #expect(scenario.asked("a") == [.answer("a")])
            #expect(scenario.took(wrote("a", token)) == [])
        }
        #expect(scenario.took(wrote("a", 4)) == [.quitAll])
    }

    @Test func staleWriteThatGetsThroughIsSaid() {
        var scenario = DemoScenario(options())
        while scenario.phase != .killing { _ = scenario.took(wrote("a", 1)) }
        _ = scenario.asked("a")
        _ = scenario.took(event("b", .granted(token: 1)))
        while scenario.phase != .stopping { _ = scenario.took(wrote("b", 1)) }
        _ = scenario.asked("b")
        _ = scenario.took(wrote("c", 2))
        guard case .say(let text) = scenario.took(wrote("b", 1)).first else {
            Issue.record("nothing said")
            return
        }
        #expect(text.contains("GOT THROUGH"))
    }
}

@Suite("Demo meetings") struct DemoMeetingTests {
    private func event(_ at: UInt64, _ process: String, _ kind: History.Kind) -> History.Event {
        History.Event(at: at, process: process, contender: "loop", name: "n", kind: kind)
    }

    private func unexplained(_ events: [History.Event]) -> Int {
        let meeting = DemoMeeting(at: 10, process: "b", other: "a", token: 1)
        return DemoMeeting.unexplained([meeting], by: [event(1, "a", .granted(token: 1))] + events).count
    }

    @Test func marksOfTheDeadAndTheStoppedAreExplained() {
        #expect(unexplained([event(5, "a", .processDied)]) == 0)
        #expect(unexplained([event(5, "a", .processStopped)]) == 0)
        #expect(unexplained([event(20, "a", .ended(cause: .lost("x"), validUntil: 8))]) == 0)
    }

    @Test func marksOfTheLivingAreNot() {
        #expect(unexplained([]) == 1)
        #expect(unexplained([event(15, "a", .processDied)]) == 1)
        #expect(unexplained([event(20, "a", .ended(cause: .released, validUntil: 20))]) == 1)
        #expect(unexplained([event(5, "c", .processDied)]) == 1)
        #expect(DemoMeeting.unexplained([DemoMeeting(at: 1, process: "b", other: "z", token: 9)], by: []).count == 1)
    }
}
