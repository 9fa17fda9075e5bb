import MQLock
import MQLockRabbitMQ
import Testing

@testable import MQLockTool

@Suite("Command line")
struct InvocationTests {
    static func options(_ change: (inout RunOptions) -> Void = { _ in }) -> RunOptions {
        var options = RunOptions(name: "job", mutex: .token, command: ["true"])
        change(&options)
        return options
    }

    private func parse(_ line: String) throws -> Invocation {
        try Invocation.parse(line.split(separator: " ").map(String.init))
    }

    @Test(
        "run",
        arguments: [
            ("run job --mutex token -- true", options()),
            ("run job -- true", options { $0.mutex = nil }),
            ("run job --mutex sac -- true", options { $0.mutex = .singleActiveConsumer }),
            ("run job --mutex exclusive -- true", options { $0.mutex = .exclusiveQueue }),
            ("run --mutex=token job -- true", options()),
            ("run job --mutex token -n -- true", options { $0.patience = .none }),
            ("run job --mutex token -w 0 -- true", options { $0.patience = .none }),
            ("run job --mutex token -w 1.5m -- true", options { $0.patience = .within(.seconds(90)) }),
            ("run job --mutex token -w2s -- true", options { $0.patience = .within(.seconds(2)) }),
            ("run job --mutex token --wait=2 -- true", options { $0.patience = .within(.seconds(2)) }),
            ("run job --mutex token -w 1 -w 2 -- true", options { $0.patience = .within(.seconds(2)) }),
            ("run job --mutex token -E 0 -- true", options { $0.conflictStatus = 0 }),
            ("run job --mutex token -E255 -- true", options { $0.conflictStatus = 255 }),
            ("run job --mutex token -s INT -- true", options { $0.lossSignal = 2 }),
            ("run job --mutex token -s sigkill -- true", options { $0.lossSignal = 9 }),
            ("run job --mutex token --signal 40 -- true", options { $0.lossSignal = 40 }),
            ("run job --mutex token -k 500ms -- true", options { $0.killAfter = .milliseconds(500) }),
            ("run job --mutex token -k 0 -- true", options { $0.killAfter = .zero }),
            (
                "run job --mutex token -nv --json --foreground -- true",
                options {
                    $0.patience = .none
                    $0.verbose = true
                    $0.json = true
                    $0.foreground = true
                }
            ),
            ("run job --mutex token --owner me -- true", options { $0.owner = "me" }),
            (
                "run job --mutex token -nq -- true",
                options {
                    $0.patience = .none
                    $0.quiet = true
                }
            ),
            ("run job --mutex token --pass-broker -- true", options { $0.passesBroker = true }),
            ("run job --mutex token --broker amqp://h -- true", options { $0.broker = .uri("amqp://h") }),
            ("run job --mutex token --broker-file f -- true", options { $0.broker = .file("f") }),
            ("run job --mutex token -- a -n -- b", options { $0.command = ["a", "-n", "--", "b"] }),
        ])
    func run(line: String, expected: RunOptions) throws {
        #expect(try parse(line) == .run(expected))
    }

    @Test(
        "what is refused, and what the message says",
        arguments: [
            ("", "a command is needed"),
            ("rum job", "did you mean 'run'"),
            ("compeltion bash", "did you mean 'completion'"),
            ("--hlep", "did you mean '--help'"),
            ("xyzzy", "unknown command 'xyzzy'"),
            ("run", "behind '--'"),
            ("run job --mutex token", "behind '--'"),
            ("run job --mutex token --", "behind '--'"),
            ("run job true", "mqlock run NAME -- true"),
            ("run --mutex token -- true", "the lock's name is needed"),
            ("run job other --mutex token -- true", "not also 'other'"),
            ("run job --mutex tokn -- true", "no mutex is called 'tokn'"),
            ("run job --mutex token -n -w 1 -- true", "exclude each other"),
            ("run job --mutex token -w nonsense -- true", DurationText.accepted),
            ("run job -q -v -- true", "-q excludes"), ("run job -q --json -- true", "-q excludes"),
            ("elect job -q -- true", "unknown option '-q'"),
            ("run job --mutex token -k -1s -- true", DurationText.accepted),
            ("run job --mutex token -w -- true", "-w needs a value: -w DUR"),
            ("run job --mutex token --wait= -- true", DurationText.accepted),
            ("run job --mutex token -E 256 -- true", "0 to 255"),
            ("run job --mutex token -E x -- true", "0 to 255"),
            ("run job --mutex token -s TREM -- true", "did you mean 'TERM'"),
            ("run job --mutex token -s 0 -- true", "no signal is called '0'"),
            ("run job --mutex token --owner= -- true", "1 to 200 bytes"),
            ("run job --mutex token --json=yes -- true", "--json takes no value"),
            ("run job --mutex token --nonblok -- true", "did you mean '--nonblock'"),
            ("run job --mutex token -x -- true", "unknown option '-x'"),
            ("run job --mutex token -wait=1 -- true", DurationText.accepted),
            ("run job --mutex token -json -- true", "did you mean '--json'"),
            ("run job --mutex token --broker a --broker-file b -- true", "exclude each other"),
            ("shards -p 4 -- true", "runs no command"),
            ("shards -p many", "1 to 100000"),
            ("completion", "name one shell"),
            ("completion tcsh", "no completion for 'tcsh'"),
            ("completion bsh", "did you mean 'bash'"),
            ("help nothing", "unknown command"),
            ("guard", "never by hand"),
        ])
    func refused(line: String, phrase: String) {
        let error = #expect(throws: CommandFailure.self) { try parse(line) }
        #expect(error?.status == 64)
        #expect(error?.message.contains(phrase) == true, "\(error?.message ?? "")")
    }

    @Test("names are checked: empty, too long, just right, and never shown raw")
    func names() throws {
        func run(_ name: String) throws -> Invocation {
            try Invocation.parse(["run", name, "--mutex", "token", "--", "true"])
        }
        for name in ["", String(repeating: "x", count: 201), String(repeating: "é", count: 101)] {
            #expect(throws: CommandFailure.self) { try run(name) }
        }
        _ = try run(String(repeating: "x", count: 200))
        let error = #expect(throws: CommandFailure.self) { try Invocation.parse(["\u{1b}[31mred"]) }
        #expect(error?.text.contains("\u{1b}") == false)
    }

    @Test("help, version, completion, demo")
    func others() throws {
        #expect(try parse("--help") == .help(nil))
        #expect(try parse("-h") == .help(nil))
        #expect(try parse("help run") == .help(.run))
        #expect(try parse("run --help") == .help(.run))
        #expect(try parse("run job -h -- true") == .help(.run))
        #expect(try parse("--version") == .version)
        #expect(try parse("completion zsh") == .completion(.zsh))
        var options = DemoOptions()
        options.rounds = 3
        #expect(try parse("demo --broker amqp://h --rounds 3") == .demo(options, .uri("amqp://h")))
        let shards = ShardsOptions(broker: .uri("kafka://h/t"), partitions: 4, owner: "me", json: true)
        #expect(try parse("shards --broker kafka://h/t -p4 --json --owner me") == .shards(shards))
        #expect(try parse("shards") == .shards(ShardsOptions()))
        #expect(try parse("demo-worker 1 2") == .demoWorker(["1", "2"], .environment))
        // The command's own --help is the command's.
        guard case .run = try parse("run job --mutex token -- true --help") else { throw TestFailure("taken for ours") }
    }
}
