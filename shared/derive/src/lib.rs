//! What `shared` needs of procedural macros, which must be a crate of their own.
//!
//! Nothing else belongs here, and nobody but `shared` uses it: the paths that are written out are those of that crate.

use proc_macro::TokenStream;
use quote::{ToTokens as _, quote};
use syn::{Data, DeriveInput, Field, GenericArgument, PathArguments, Type, parse_quote};

/// Makes the optional fields of a struct or enum ones that may be left out, but not be null: for serde and in the JSON Schema alike.
///
/// It stands above the derives. A field `Option<T>` that says nothing to serde itself is read by `protocol::strict::present`, is not
/// written when it is absent, and has the schema of `T` where the schema is derived too. Every other field stays as it is.
#[proc_macro_attribute]
pub fn strict_options(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut item = syn::parse_macro_input!(item as DeriveInput);
    let has_schema = derives_schema(&item);
    let fields: Vec<&mut Field> = match &mut item.data {
        Data::Struct(body) => body.fields.iter_mut().collect(),
        Data::Enum(body) => {
            let variants = body.variants.iter_mut();
            variants.flat_map(|variant| &mut variant.fields).collect()
        }
        Data::Union(_) => Vec::new(),
    };
    for field in fields {
        if let Some(value) = optional(field) {
            let value = value.to_token_stream().to_string();
            field.attrs.push(parse_quote! {
                #[serde(
                    default,
                    deserialize_with = "crate::protocol::strict::present",
                    skip_serializing_if = "Option::is_none"
                )]
            });
            if has_schema {
                field.attrs.push(parse_quote!(#[schemars(with = #value)]));
            }
        }
    }
    quote!(#item).into()
}

/// Whether the schema is derived, and not written by hand.
fn derives_schema(item: &DeriveInput) -> bool {
    item.attrs.iter().any(|attribute| {
        let derives = attribute.path().is_ident("derive");
        derives
            && attribute
                .to_token_stream()
                .to_string()
                .contains("JsonSchema")
    })
}

/// The `T` of a field `Option<T>` that says nothing to serde itself.
fn optional(field: &Field) -> Option<&Type> {
    if field
        .attrs
        .iter()
        .any(|attribute| attribute.path().is_ident("serde"))
    {
        return None;
    }
    let Type::Path(path) = &field.ty else {
        return None;
    };
    let option = path
        .path
        .segments
        .last()
        .filter(|last| last.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &option.arguments else {
        return None;
    };
    if let GenericArgument::Type(value) = arguments.args.first()? {
        Some(value)
    } else {
        None
    }
}
