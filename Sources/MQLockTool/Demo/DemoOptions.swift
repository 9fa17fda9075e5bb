import MQLock

/// The options of `mqlock demo`.
struct DemoOptions: Equatable {
    /// How many processes contend at a time.
    var workers = 5
    /// How many times a holder is killed and another one stopped.
    var rounds = 3
    var lock = "mqlock-demo"
    /// Whether the workers take no lock at all, to show that the checks would notice.
    var isSabotage = false
    /// Events as JSON lines instead of the view.
    var isJSON = false
    var wantsHelp = false

    static let help = """
        usage: mqlock demo [--rounds N] [--workers N] [--lock NAME] [--json] [--sabotage]

        Worker processes contend for one lock around a shared file. In each round one holder is killed (SIGKILL) and
        another one stopped (SIGSTOP) past its proof and continued: its write has to be refused for its stale token.
        Ends with the hand-overs, their times, and the verdict of the history checker.

          --rounds N    rounds, 1 to 1000 (3, which take about half a minute)
          --workers N   contending processes, 2 to 64 (5)
          --lock NAME   the lock's name (mqlock-demo)
          --json        events and the verdict as JSON lines
          --sabotage    take no lock: the overlap must be found, and the exit status is 1
          -h, --help    this text

        Exit status: 0 when no two ever overlapped; 1 when two did, or a stale write got through; 64 usage; 69 broker
        unreachable; 70 internal error; 77 credentials or permissions refused; 78 incompatible object on the broker.

        """

    init() {}

    init(_ arguments: [String]) throws(DemoFailure) {
        var rest = arguments[...]
        while let word = rest.popFirst() {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let option = parts[0]
            func value() throws(DemoFailure) -> String {
                if parts.count == 2 { return parts[1] }
                guard let next = rest.popFirst() else { throw .usage("\(option) needs a value") }
                return next
            }
            switch option {
            case "--rounds": rounds = try Self.number(try value(), option, 1...1000)
            case "--workers": workers = try Self.number(try value(), option, 2...64)
            case "--lock": lock = try value()
            case "--sabotage" where parts.count == 1: isSabotage = true
            case "--json" where parts.count == 1: isJSON = true
            case "-h", "--help": wantsHelp = true
            default: throw .usage("demo does not know '\(word.escapedForDisplay)'; see mqlock demo --help")
            }
        }
        do throws(LockError) {
            _ = try LockName(lock)
        } catch {
            throw .usage(error.message)
        }
    }

    private static func number(_ text: String, _ option: String, _ range: ClosedRange<Int>) throws(DemoFailure) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw .usage("\(option) takes a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
