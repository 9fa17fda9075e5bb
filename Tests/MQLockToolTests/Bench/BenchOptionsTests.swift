import MQLock
import MQLockRabbitMQ
import Testing

@testable import MQLockTool
@testable import RawLocks

@Suite("Benchmark options") struct BenchOptionsTests {
    private func parse(_ line: String) throws -> BenchOptions {
        let words = ["bench"] + line.split(separator: " ").map(String.init)
        guard case .bench(let options, _) = try Invocation.parse(words) else { throw TestFailure("not bench") }
        return options
    }

    private static func options(_ change: (inout BenchOptions) -> Void) -> BenchOptions {
        var options = BenchOptions()
        change(&options)
        return options
    }

    @Test(
        arguments: [
            ("", options { _ in }), ("--json", options { $0.isJSON = true }),
            ("--mutex token", options { $0.mutexes = [.token] }),
            ("--mutex token,sac,token", options { $0.mutexes = [.token, .singleActiveConsumer] }),
            ("--cycles 10 --kills 1", options { ($0.cycles, $0.kills) = (10, 1) }),
            ("--processes 16", options { $0.processes = [16] }),
            ("--processes 2,64,2", options { $0.processes = [2, 64] }),
            ("--beside raw", options { $0.beside = "./raw" }), ("--beside b/raw", options { $0.beside = "b/raw" }),
            ("--parts loss", options { $0.parts = [.loss] }),
            // They run in their own order.
            ("--parts recovery,tasks,tasks", options { $0.parts = [.tasks, .recovery] }),
            ("--svg a --save b --compare c", options { ($0.picture, $0.saved, $0.compared) = ("a", "b", "c") }),
            ("--quick", options { ($0.cycles, $0.processes, $0.kills, $0.names) = (120, [2, 4], 3, 8) }),
            ("--cycles 50 --quick", options { ($0.cycles, $0.processes, $0.kills, $0.names) = (50, [2, 4], 3, 8) }),
        ])
    func accepted(line: String, options: BenchOptions) throws {
        #expect(try parse(line) == options)
    }

    @Test(arguments: [
        "x", "-- true", "--mutex lock", "--mutex sac,", "--mutex=", "--cycles 9", "--cycles x", "--processes 1",
        "--processes 2,,4", "--processes 65", "--kills 0", "--kills -1", "--beside=", "--mutex sac-fast",
        "--parts x", "--parts=", "--parts loss,", "--svg=", "--save=", "--compare=", "--svg",
        "--broker amqp://a --broker-file b",
    ])
    func refused(line: String) {
        #expect {
            try parse(line)
        } throws: {
            ($0 as? CommandFailure)?.status == ExitStatus.usage
        }
    }

    @Test func everyMutexIsMeasured() {
        #expect(BenchOptions().mutexes == nil)
        #expect(RawLocks.mutexes == (RabbitMQLocks.Mutex.allCases.map(\.description) + [BenchOptions.log]).sorted())
    }

    @Test func ordersAndAnswersAreReadAsWritten() {
        let orders: [BenchOrder] = [
            .make, .prepare, .cycles(12), .turns(3, microseconds: 0), .turns(3, microseconds: 4000), .hold, .usage,
        ]
        let ours: [BenchOrder] = [.tasks(8, count: 3), .collect(5), .drop, .lose(2)]
        for order in orders + ours { #expect(BenchOrder(line: order.line) == order) }
        // The other program is a reader of its own.
        #expect(
            orders.map { RawOrder(line: $0.line) } == [
                .make, .prepare, .cycles(12), .turns(3, microseconds: 0), .turns(3, microseconds: 4000), .hold, .usage,
            ])
        let answers: [BenchAnswer] = [
            .ready, .times([1, 2]), .times([]), .turns([1, 2, 3, .max]), .granted(7), .done,
            .grants([0, 5, 6]), .usage(cpu: 3, memory: 4),
            .failed(code: "unreachable", message: "nobody there"),
        ]
        for answer in answers { #expect(BenchAnswer(line: answer.line + "\n") == answer) }
        for line in ["", "x", "prepare x", "cycles", "cycles 1 2", "cycles x", "turns 1", "hold 1"] {
            #expect(BenchOrder(line: line) == nil)
            #expect(RawOrder(line: line) == nil)
        }
        for line in ["", "x", "granted", "granted x", "times x", "turns 1 x", "failed", "usage 1", "grants x"] {
            #expect(BenchAnswer(line: line) == nil)
        }
    }
}
