import MQLock

/// A page in the Prometheus text format 0.0.4, read by its rules, without mercy: what a real scraper might forgive is an
/// error here.
struct PrometheusPage {
    struct Invalid: Error, CustomStringConvertible { let description: String }

    struct Sample {
        let name: String
        let labels: [String: String]
        let value: Double
    }

    struct Family {
        let name: String
        let type: String
        let help: String
        var samples: [Sample] = []
    }

    private(set) var families: [Family] = []

    init(_ text: String) throws {
        guard text.hasSuffix("\n") else { throw Invalid(description: "the last line has no line feed") }
        var help: (name: String, text: String)?
        for line in text.unicodeScalars.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            let line = String(String.UnicodeScalarView(line))
            if line.hasPrefix("# HELP ") {
                guard help == nil else { throw Invalid(description: "help without a type before: \(line)") }
                let parts = line.dropFirst(7).split(separator: " ", maxSplits: 1).map(String.init)
                guard parts.count == 2 else { throw Invalid(description: "no help in: \(line)") }
                help = (parts[0], try Self.unescaped(parts[1], quotes: false))
            } else if line.hasPrefix("# TYPE ") {
                let parts = line.dropFirst(7).split(separator: " ").map(String.init)
                guard parts.count == 2, ["counter", "gauge", "histogram"].contains(parts[1]),
                    let text = help, text.name == parts[0]
                else { throw Invalid(description: "a bad type: \(line)") }
                try Self.checkName(parts[0])
                guard !families.contains(where: { $0.name == parts[0] }) else {
                    throw Invalid(description: "a second family \(parts[0])")
                }
                families.append(Family(name: parts[0], type: parts[1], help: text.text))
                help = nil
            } else {
                guard help == nil, !families.isEmpty else { throw Invalid(description: "a sample of nothing: \(line)") }
                families[families.count - 1].samples.append(try Self.sample(line))
            }
        }
        guard help == nil else { throw Invalid(description: "a help of nothing") }
        for family in families { try family.check() }
    }

    /// The value of one sample; nil when there is none.
    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        families.lazy.flatMap(\.samples).first { $0.name == name && $0.labels == labels }?.value
    }

    /// The sum over all samples of that name.
    func total(_ name: String) -> Int {
        Int(families.flatMap(\.samples).filter { $0.name == name }.reduce(0) { $0 + $1.value })
    }
}

extension PrometheusPage {
    private static func checkName(_ name: String, colons: Bool = true) throws {
        let isFine = name.utf8.enumerated().allSatisfy { index, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
            case UInt8(ascii: ":"): colons
            case UInt8(ascii: "0")...UInt8(ascii: "9"): index > 0
            default: false
            }
        }
        guard isFine, !name.isEmpty else { throw Invalid(description: "no name: \(name)") }
    }

    private static func unescaped(_ text: String, quotes: Bool) throws -> String {
        var result = String.UnicodeScalarView()
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            guard scalar == "\\" else {
                guard !quotes || scalar != "\"" else { throw Invalid(description: "a bare quote in \(text)") }
                result.append(scalar)
                continue
            }
            switch rest.popFirst() {
            case "\\": result.append("\\")
            case "n": result.append("\n")
            case "\"" where quotes: result.append("\"")
            default: throw Invalid(description: "a bad escape in \(text)")
            }
        }
        return String(result)
    }

    private static func sample(_ line: String) throws -> Sample {
        var rest = line.unicodeScalars[...]
        let name = String(String.UnicodeScalarView(rest.prefix { $0 != "{" && $0 != " " }))
        try checkName(name)
        rest = rest.dropFirst(name.unicodeScalars.count)
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest.removeFirst()
            while true {
                let label = String(String.UnicodeScalarView(rest.prefix { $0 != "=" }))
                try checkName(label, colons: false)
                rest = rest.dropFirst(label.unicodeScalars.count + 1)
                guard rest.popFirst() == "\"" else { throw Invalid(description: "no value in \(line)") }
                var value = String.UnicodeScalarView()
                while let scalar = rest.popFirst(), scalar != "\"" {
                    value.append(scalar)
                    if scalar == "\\", let next = rest.popFirst() { value.append(next) }
                }
                guard labels.updateValue(try unescaped(String(value), quotes: true), forKey: label) == nil else {
                    throw Invalid(description: "a label twice in \(line)")
                }
                let next = rest.popFirst()
                if next == "}" { break }
                guard next == "," else { throw Invalid(description: "no end of labels in \(line)") }
            }
        }
        guard rest.popFirst() == " ", let value = Double(String(String.UnicodeScalarView(rest))), !value.isNaN else {
            throw Invalid(description: "no number in \(line)")
        }
        return Sample(name: name, labels: labels, value: value)
    }
}

extension PrometheusPage.Family {
    private typealias Invalid = PrometheusPage.Invalid

    fileprivate func check() throws {
        let keys = samples.map { "\($0.name) \($0.labels.sorted { $0.key < $1.key })" }
        guard Set(keys).count == keys.count else { throw Invalid(description: "\(name) has a sample twice") }
        guard (type == "counter") == name.hasSuffix("_total") else {
            throw Invalid(description: "\(name) is no name for a \(type)")
        }
        if type == "histogram" { return try checkHistogram() }
        for sample in samples {
            guard sample.name == name, sample.labels["le"] == nil else {
                throw Invalid(description: "\(sample.name) under \(name)")
            }
            guard type == "gauge" || sample.value >= 0 && sample.value.isFinite else {
                throw Invalid(description: "\(name) counts \(sample.value)")
            }
        }
    }

    /// For each set of labels: buckets in order, cumulative, the last of them all; then the sum, then the count.
    private func checkHistogram() throws {
        var rest = samples[...]
        while let first = rest.first {
            var labels = first.labels
            labels["le"] = nil
            var (bound, count) = (-Double.infinity, 0.0)
            while let bucket = rest.first, bucket.name == name + "_bucket" {
                rest.removeFirst()
                guard let le = bucket.labels["le"].flatMap({ $0 == "+Inf" ? .infinity : Double($0) }), le > bound,
                    bucket.value >= count, bucket.labels.filter({ $0.key != "le" }) == labels
                else { throw Invalid(description: "\(name) has a bad bucket: \(bucket)") }
                (bound, count) = (le, bucket.value)
            }
            guard bound == .infinity, let sum = rest.popFirst(), let total = rest.popFirst(),
                sum.name == name + "_sum", total.name == name + "_count", sum.labels == labels,
                total.labels == labels, total.value == count, sum.value >= 0
            else { throw Invalid(description: "\(name) does not add up for \(labels)") }
        }
    }
}
