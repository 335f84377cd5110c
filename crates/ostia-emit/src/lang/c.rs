//! C99: one header, or a header and a source.

use std::sync::LazyLock;

use minijinja::{Environment, context};

use super::{
    Artifact, EmitError, Request,
    c_family::{self, Dialect, crc_table},
    sample::sample,
};

pub(super) fn emit(request: &Request<'_>) -> Result<Vec<Artifact>, EmitError> {
    static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| c_family::environment(&TEMPLATES));
    let text = request.table.head().key_type == ostia_hash::keys::KeyType::Str;
    let dialect = Dialect {
        function: "static inline",
        array: "static const",
        own: format!("{}_", request.name),
        end: "_",
        casts: ["(uint8_t)", "(uint32_t)", "(uint64_t)"],
        gathers: true,
        text_parameters: if text {
            "const char *key, size_t length"
        } else {
            "const void *key, size_t length"
        },
    };
    let facts = context! {
        split => request.split,
        byte => "unsigned char",
        size => "(size_t)",
        text_opening => "const unsigned char *bytes = (const unsigned char *)key;",
        word_cast => format!("({})", c_family::unsigned(request.table.head().key_type.bits() / 8)),
        key_cast => if text { "(const char *)" } else { "" },
        pext => true,
        instructions => true,
        crc_table => crc_table(),
        ..c_family::facts(request, &dialect)
    };
    let mut artifacts = Vec::new();
    let mut add = |file: String, template: &str, facts: &minijinja::Value| -> Result<(), EmitError> {
        let text = ENVIRONMENT.get_template(template)?.render(facts)?;
        artifacts.push(Artifact { name: file, bytes: text.into_bytes() });
        Ok(())
    };
    let name = request.name;
    add(format!("{name}.h"), "c_header.j2", &facts)?;
    if request.split {
        add(format!("{name}.c"), "c_source.j2", &facts)?;
    }
    if request.tests {
        let facts = context! { sample => sample(request), ..facts };
        add(format!("{name}_test.c"), "c_test.j2", &facts)?;
        add(format!("{name}_bench.c"), "c_bench.j2", &facts)?;
    }
    Ok(artifacts)
}

const TEMPLATES: [(&str, &str); 8] = [
    ("c_header.j2", include_str!("../templates/c_header.j2")),
    ("c_source.j2", include_str!("../templates/c_source.j2")),
    ("c_includes.j2", include_str!("../templates/c_includes.j2")),
    ("c_api.j2", include_str!("../templates/c_api.j2")),
    ("c_vector.j2", include_str!("../templates/c_vector.j2")),
    ("c_undef.j2", include_str!("../templates/c_undef.j2")),
    ("c_test.j2", include_str!("../templates/c_test.j2")),
    ("c_bench.j2", include_str!("../templates/c_bench.j2")),
];
