import MQLock
import Testing

@testable import MQLockRabbitMQ

/// The same scene with every mutex; one fault strikes them all.
struct Stages: Sendable {
    let all: [Stage]
    let broker: LiveBroker

    /// Returns when each lock is held and its waiter stands in the broker's line, or has had its answer: some faults are
    /// under way before they strike, and a busy machine is slow to look.
    static func set(on broker: LiveBroker, _ options: Stage.Options = .init()) async throws -> Stages {
        let stages = Stages(
            all: try MutexUnderTest.allCases.map { try Stage($0, on: broker, options) }, broker: broker)
        do {
            try await stages.each { try await $0.isHeld() }
            let before = try await broker.lines()
            stages.all.forEach { $0.startWaiting() }
            try await eventually(within: .seconds(60), every: .milliseconds(50), "the waiters in the broker's lines") {
                let now = try await broker.lines()
                return try stages.all.allSatisfy { stage in
                    try now.count(for: stage.name) > before.count(for: stage.name)
                        || stage.waiter.outcome.current != nil
                }
            }
        } catch {
            await stages.close()
            throw error
        }
        return stages
    }

    /// All times count from here.
    func strike() { all.forEach { $0.strike() } }

    /// With all mutexes at the same time.
    func each(_ body: @escaping @Sendable (Stage) async throws -> Void) async throws {
        try await withThrowingTaskGroup { group in
            for stage in all {
                group.addTask {
                    do { try await body(stage) } catch { throw Overdue(what: "\(stage.mutex): \(error)", limit: .zero) }
                }
            }
            try await group.waitForAll()
        }
    }

    func faults(_ change: (inout FaultyProxy.Faults) -> Void) { for stage in all { stage.proxy?.change(change) } }

    func close() async {
        await withTaskGroup { group in for stage in all { group.addTask { await stage.close() } } }
    }
}

/// Sets the scene, lets the fault strike, looks whether the locks work again, and records what was seen.
func strike(
    _ fault: Fault, on broker: LiveBroker, _ options: Stage.Options = .init(), test: String = #function,
    at location: SourceLocation = #_sourceLocation, _ body: (Stages) async throws -> Void
) async throws {
    let stages = try await Stages.set(on: broker, options)
    do {
        stages.strike()
        try await body(stages)
        try await stages.each { try await $0.lockWorksAgain() }
        try FaultTable.record(fault, stages.all.map { ($0.mutex, $0.observation) }, test: test, at: location)
    } catch {
        await stages.close()
        throw error
    }
    await stages.close()
}
